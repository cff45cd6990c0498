"""What was asked: the experiment file, read and checked."""
