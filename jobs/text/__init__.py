"""Texts: reading, splitting, tokenising, truncating, batching and masking."""
