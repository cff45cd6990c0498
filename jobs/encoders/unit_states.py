"""States of spans of tokens in every layer, from one forward pass over the sentences that hold them.

Axes: U units, B sentences of a batch, T tokens, D features.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

from jobs.text.annotations import Span
from jobs.text.batches import pad

Unit = tuple[int, tuple[Span, ...]]
"""Position of its sentence, and one span of tokens or two."""


def unit_layers(
    encoder: PreTrainedModel,
    sentences: Sequence[Sequence[int]],
    units: Sequence[Unit],
    *,
    pad_id: int,
    device: str,
    batch_size: int = 32,
) -> list[np.ndarray]:
    """One (U, D) float32 array a layer, 0 the embeddings, in the order of the units; (U, 2 D) for pairs.

    A span is the mean over its tokens. All units have as many spans.
    """
    encoder = encoder.eval().to(device)
    units_of = defaultdict(list)
    for row, (sentence, spans) in enumerate(units):
        units_of[sentence].append((row, spans))
    order = sorted(units_of, key=lambda sentence: len(sentences[sentence]))
    layers: list[np.ndarray] = []
    with torch.inference_mode():
        for first in range(0, len(order), batch_size):
            batch = order[first : first + batch_size]
            rows = [row for sentence in batch for row, _ in units_of[sentence]]
            pooled = _pooled(
                encoder, [sentences[s] for s in batch], [units_of[s] for s in batch], pad_id, device
            )
            if not layers:
                layers = [np.empty((len(units), part.shape[1]), np.float32) for part in pooled]
            for layer, part in zip(layers, pooled, strict=True):
                layer[rows] = part
    return layers


def _pooled(
    encoder: PreTrainedModel,
    sentences: Sequence[Sequence[int]],
    units_of_sentences: Sequence[Sequence[tuple[int, tuple[Span, ...]]]],
    pad_id: int,
    device: str,
) -> list[np.ndarray]:
    """The states of a batch's units in every layer, sentence after sentence."""
    ids_BT, mask_BT = pad(sentences, pad_id)
    states = encoder(
        input_ids=ids_BT.to(device), attention_mask=mask_BT.to(device), output_hidden_states=True
    ).hidden_states
    spans_by_slot = list(
        zip(
            *(
                [(place, first, last) for first, last in spans]
                for place, units in enumerate(units_of_sentences)
                for _, spans in units
            ),
            strict=True,
        )
    )
    tokens_by_slot = [_tokens(spans, ids_BT.shape[1], device) for spans in spans_by_slot]
    found = []
    for hidden_BTD in states:
        flat_ND = hidden_BTD.float().flatten(0, 1)
        found.append(
            torch.cat([_averages(flat_ND, *tokens) for tokens in tokens_by_slot], dim=1).cpu().numpy()
        )
    return found


def _tokens(
    spans: Sequence[tuple[int, int, int]], num_tokens: int, device: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Of every token in a span (sentence, first, end): its row in the flat states, and the span's number."""
    places = [
        (sentence * num_tokens + at, row)
        for row, (sentence, *ends) in enumerate(spans)
        for at in range(*ends)
    ]
    token_N, span_N = torch.tensor(places, device=device).T
    return token_N, span_N


def _averages(flat_ND: torch.Tensor, token_N: torch.Tensor, span_N: torch.Tensor) -> torch.Tensor:
    """The mean state of each span (U, D)."""
    size_U = torch.bincount(span_N)
    sum_UD = flat_ND.new_zeros(len(size_U), flat_ND.shape[1]).index_add(0, span_N, flat_ND[token_N])
    return sum_UD / size_U.unsqueeze(1)
