"""Text encoders: loading, layers, hidden states, heads, learning rates and training."""
