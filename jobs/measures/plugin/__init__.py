"""Plug-in measures: a Python file, or an entry point of the group `layerscope.measures`."""
