"""Linear heads on the layers of a model, on disk: the fine-tuned head, and one head per layer.

Axes: L layers (0 the embeddings), K labels, D features.
"""

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

LAYER_HEADS = "heads.safetensors"
HEAD = "head.safetensors"
"""The file that `jobs.artifacts.classifier_heads` writes for a fine-tuning."""


def read_tuned_head(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Weight (K, D) and bias (K,) of a fine-tuning's linear head; a head that scores choices has bias 0."""
    head = load_file(folder / HEAD)
    weight_KD = head["weight"]
    return weight_KD, head.get("bias", np.zeros(len(weight_KD), weight_KD.dtype))


def read_pooler(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Weight (D, D) and bias (D,) of the pooler of a fine-tuning's head."""
    parts = load_file(folder / HEAD)
    return parts["pooler.weight"], parts["pooler.bias"]


def write_layer_heads(folder: Path, weight_LKD: np.ndarray, bias_LK: np.ndarray) -> None:
    """Write the heads; the logits of layer l are states @ weight_LKD[l].T + bias_LK[l]."""
    save_file({"weight": weight_LKD, "bias": bias_LK}, folder / LAYER_HEADS)


def read_layer_head(folder: Path, layer: int) -> tuple[np.ndarray, np.ndarray]:
    """Weight (K, D) and bias (K,) of one layer's head."""
    heads = load_file(folder / LAYER_HEADS)
    return heads["weight"][layer], heads["bias"][layer]
