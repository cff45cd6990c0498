"""States of labelled spans in every layer, from one forward pass over their sentences.

Axes: U labelled spans or pairs of spans (units), B sentences of a batch, T tokens, D features.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

from layerscope.jobs.artifacts.tokenised import Span
from layerscope.jobs.encoders.architecture import takes_token_types
from layerscope.jobs.encoders.layout import layer_states
from layerscope.jobs.encoders.spans import Unit, slots_of, span_means, units_of
from layerscope.jobs.text.tokenising.batches import pad


def unit_layers(
    encoder: PreTrainedModel,
    sentences: Sequence[Sequence[int]],
    units: Sequence[Unit],
    *,
    pad_id: int,
    device: str,
    type_ids: Sequence[Sequence[int]] | None = None,
    batch_size: int = 32,
) -> list[np.ndarray]:
    """One (U, D) float32 array per layer, 0 the embeddings, in the order of the units; (U, 2 D) for pairs.

    The state of a span is the mean over its tokens. All units have the same number of spans.

    Args:
        type_ids: Token types, if sentences are pairs of texts.
    """
    encoder = encoder.eval().to(device)
    units_by_sentence = defaultdict(list)
    for row, (sentence, spans) in enumerate(units):
        units_by_sentence[sentence].append((row, spans))
    order = sorted(units_by_sentence, key=lambda sentence: len(sentences[sentence]))
    layers: list[np.ndarray] = []
    with torch.inference_mode():
        for first in range(0, len(order), batch_size):
            batch = order[first : first + batch_size]
            rows = [row for sentence in batch for row, _ in units_by_sentence[sentence]]
            spans_of_batch = [[spans for _, spans in units_by_sentence[place]] for place in batch]
            types = None if type_ids is None else [type_ids[place] for place in batch]
            texts = [sentences[place] for place in batch]
            pooled = _pooled(encoder, texts, spans_of_batch, types, pad_id, device)
            if not layers:
                layers = [np.empty((len(units), part.shape[1]), np.float32) for part in pooled]
            for layer, part in zip(layers, pooled, strict=True):
                layer[rows] = part
    return layers


def _pooled(
    encoder: PreTrainedModel,
    sentences: Sequence[Sequence[int]],
    spans_by_sentence: Sequence[Sequence[tuple[Span, ...]]],
    type_ids: Sequence[Sequence[int]] | None,
    pad_id: int,
    device: str,
) -> list[np.ndarray]:
    """The states of a batch's units in every layer, sentence after sentence."""
    ids_BT, mask_BT = pad(sentences, pad_id)
    slots = slots_of(units_of(spans_by_sentence), num_tokens=ids_BT.shape[1], device=device)
    options = {}
    if type_ids is not None and takes_token_types(encoder):
        options["token_type_ids"] = pad(type_ids, 0)[0].to(device)
    output = encoder(
        input_ids=ids_BT.to(device),
        attention_mask=mask_BT.to(device),
        output_hidden_states=True,
        **options,
    )
    return [span_means(state_BTD.float(), slots).cpu().numpy() for state_BTD in layer_states(encoder, output)]
