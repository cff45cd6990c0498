"""Tracking: MLflow, and progress on the terminal."""
