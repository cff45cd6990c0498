"""Isotropy: how the hidden states of a layer are distributed."""
