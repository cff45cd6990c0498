"""Measures of the user's own: a file of Python, or an entry point of the group `layerscope.measures`."""
