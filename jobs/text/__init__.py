"""Texts: reading, splitting, tokenising, cutting, batching and masking."""
