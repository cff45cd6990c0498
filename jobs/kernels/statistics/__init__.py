"""Scores, confidence intervals and paired tests."""
