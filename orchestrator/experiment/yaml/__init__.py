"""YAML with line and column of every value, overrides, environment variables."""
