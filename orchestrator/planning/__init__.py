"""The plan: every stage of an experiment, each once, with its key."""
