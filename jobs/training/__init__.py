"""Training: one loop under every kind, its optimiser, micro-batches, checkpoints and snapshots."""
