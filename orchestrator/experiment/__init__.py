"""The experiment file, read and validated."""
