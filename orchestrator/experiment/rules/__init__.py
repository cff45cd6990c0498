"""Rules between the parts of an experiment."""
