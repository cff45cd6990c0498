"""Text encoders: loading, layers, hidden states, heads, facts and export."""
