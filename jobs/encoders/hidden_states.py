"""Pooled hidden states of every layer, from one forward pass.

Axes: N texts, D features.
"""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

from jobs.encoders.heads import pool
from jobs.specs.recipe import Pooling
from jobs.text.batches import pad


def pooled_layers(
    encoder: PreTrainedModel,
    texts: Sequence[Sequence[int]],
    *,
    pooling: Pooling,
    pad_id: int,
    device: str,
    batch_size: int = 32,
) -> list[np.ndarray]:
    """One (N, D) float32 array for each layer, 0 the embeddings; rows in the order of the texts."""
    encoder = encoder.eval().to(device)
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    layers: list[np.ndarray] = []
    with torch.inference_mode():
        for first in range(0, len(order), batch_size):
            rows = order[first : first + batch_size]
            ids_BT, mask_BT = pad([texts[row] for row in rows], pad_id)
            ids_BT, mask_BT = ids_BT.to(device), mask_BT.to(device)
            states = encoder(
                input_ids=ids_BT, attention_mask=mask_BT, output_hidden_states=True
            ).hidden_states
            pooled = [pool(hidden_BTD, mask_BT, pooling).float().cpu().numpy() for hidden_BTD in states]
            if not layers:
                layers = [np.empty((len(texts), part.shape[1]), np.float32) for part in pooled]
            for layer, part in zip(layers, pooled, strict=True):
                layer[rows] = part
    return layers
