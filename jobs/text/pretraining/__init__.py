"""Examples for continued pretraining."""
