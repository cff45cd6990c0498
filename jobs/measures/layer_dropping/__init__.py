"""Layer dropping: the task's scores with only the bottom layers."""
