"""Linear heads of every layer of a model, on disk.

Axes: L layers (0 the embeddings), K labels, D features.
"""

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

LAYER_HEADS = "heads.safetensors"


def write_layer_heads(folder: Path, weight_LKD: np.ndarray, bias_LK: np.ndarray) -> None:
    """The logits of layer l are states @ weight_LKD[l].T + bias_LK[l]."""
    save_file({"weight": weight_LKD, "bias": bias_LK}, folder / LAYER_HEADS)


def read_layer_head(folder: Path, layer: int) -> tuple[np.ndarray, np.ndarray]:
    """Weight (K, D) and bias (K,) of one layer's head."""
    heads = load_file(folder / LAYER_HEADS)
    return heads["weight"][layer], heads["bias"][layer]
