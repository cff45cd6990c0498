"""What to run, where, and what is known; never imports torch."""
