"""Similarity of layers, within a model and between models."""
