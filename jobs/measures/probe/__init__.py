"""Probes: how well the labels can be predicted from each layer."""
