"""How it gets done: in this process, or on a Ray cluster."""
