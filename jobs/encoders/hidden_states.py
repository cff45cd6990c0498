"""Pooled hidden states of every layer, from one forward pass.

Axes: N texts, W windows of all texts of a batch (one per text without windows), T tokens, D features.
"""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

from layerscope.jobs.artifacts.tokenised import Split
from layerscope.jobs.encoders.architecture import takes_token_types
from layerscope.jobs.encoders.heads import pool
from layerscope.jobs.encoders.layout import layer_states
from layerscope.jobs.encoders.windows import mean_of_windows
from layerscope.jobs.specs.recipe import TokenPooling
from layerscope.jobs.text.tokenising.inputs import groups_of_rows, inputs_of


def pooled_layers(
    encoder: PreTrainedModel,
    texts: Sequence[Sequence[int]],
    *,
    pooling: TokenPooling,
    pad_id: int,
    device: str,
    batch_size: int = 32,
    type_ids: Sequence[Sequence[int]] | None = None,
    window_lengths: Sequence[Sequence[int]] | None = None,
) -> list[np.ndarray]:
    """One (N, D) float32 array for each layer, 0 the embeddings; rows in the order of the texts.

    The windows of a text are pooled separately and then averaged.

    Args:
        batch_size: Texts per batch, or windows per batch for texts with windows.
        type_ids, window_lengths: As in `Split`.
    """
    encoder = encoder.eval().to(device)
    split = Split([""] * len(texts), texts, range(len(texts)), type_ids, window_lengths)
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    layers: list[np.ndarray] = []
    with torch.inference_mode():
        for rows in groups_of_rows(split, order, most_windows=batch_size):
            pooled = _pooled_batch(encoder, split.rows(rows), pooling, pad_id, device)
            if not layers:
                layers = [np.empty((len(texts), part.shape[1]), np.float32) for part in pooled]
            for layer, part in zip(layers, pooled, strict=True):
                layer[rows] = part
    return layers


def _pooled_batch(
    encoder: PreTrainedModel, split: Split, pooling: TokenPooling, pad_id: int, device: str
) -> list[np.ndarray]:
    ids_WT, mask_WT, types_WT, num_windows_B, _ = inputs_of(split, pad_id).to(device)
    types = {"token_type_ids": types_WT} if types_WT is not None and takes_token_types(encoder) else {}
    output = encoder(input_ids=ids_WT, attention_mask=mask_WT, output_hidden_states=True, **types)
    pooled = [pool(state_WTD, mask_WT, pooling).float() for state_WTD in layer_states(encoder, output)]
    if num_windows_B is not None:
        pooled = [mean_of_windows(values_WD, num_windows_B) for values_WD in pooled]
    return [values_ND.cpu().numpy() for values_ND in pooled]
