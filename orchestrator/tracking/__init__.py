"""Where it is shown: MLflow, and the progress on the terminal."""
