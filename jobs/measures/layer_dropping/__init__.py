"""Layer dropping: the task's scores with only the lowest layers."""
