"""Classifiers and regressors on frozen layers."""
