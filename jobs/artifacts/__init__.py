"""On-disk formats: one module each with file names, writer and reader."""
