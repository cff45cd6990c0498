"""Checks of an experiment against its data and encoders."""
