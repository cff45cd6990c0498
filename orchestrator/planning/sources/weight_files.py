"""The files that hold an encoder's weights."""

WEIGHTS = ("model*.safetensors", "pytorch_model*.bin")
"""The first kind that is there counts."""
