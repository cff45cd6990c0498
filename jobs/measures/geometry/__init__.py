"""Label geometry in each layer, and how fine-tuning changed it."""
