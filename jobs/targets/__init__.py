"""Task types: what each computes of its logits and of its layers, one file a type."""
