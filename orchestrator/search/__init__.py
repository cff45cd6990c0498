"""Which variant comes next: grid cells and Optuna proposals."""
