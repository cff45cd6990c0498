"""A paper's numbers and claims, compared with a study's own results."""
