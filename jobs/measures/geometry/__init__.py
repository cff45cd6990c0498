"""Geometry of the labels in each layer, and how training moved it."""
