"""Every format on disk: its names, writer and reader in one module each, below everything else."""
