"""Data, encoders and plug-ins that an experiment uses: located, read and identified by content."""
