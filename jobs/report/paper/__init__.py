"""A paper's numbers and claims beside a study's own results."""
