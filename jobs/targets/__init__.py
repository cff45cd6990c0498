"""Task types: loss, predictions, metrics and layer heads of each, one file per type."""
