"""What must be done: every stage of an experiment, each once, with its key."""
