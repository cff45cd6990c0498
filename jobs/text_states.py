"""Pooled hidden states of every layer for a sample of training and test texts, one file per layer."""

from collections.abc import Sequence

import numpy as np

from layerscope.jobs.artifacts.layers import Part, write_layers
from layerscope.jobs.artifacts.tokenised import Split, read_labels, read_split
from layerscope.jobs.context import StageContext
from layerscope.jobs.encoders.hidden_states import pooled_layers
from layerscope.jobs.encoders.loading import load_encoder, snapshot_folder
from layerscope.jobs.own_code import code_of
from layerscope.jobs.specs.stages import TextStatesSpec
from layerscope.jobs.text.reading.candidates import candidates_of

Column = Sequence[Sequence[int]] | None


def run(spec: TextStatesSpec, context: StageContext) -> dict[str, float]:
    """One forward pass; layer 0 is the output of the embeddings."""
    data = context.inputs["data"]
    model = snapshot_folder(context.inputs.get("model") or context.inputs["encoder"], spec.snapshot)
    train = _sample(read_split(data, "train"), spec.num_train, spec.seed)
    test = _sample(read_split(data, "test"), spec.num_test, spec.seed)
    counts = {"train/examples": len(train.ids), "test/examples": len(test.ids)}
    if spec.choices_apart:
        train, test = candidates_of(train), candidates_of(test)
    encoder = load_encoder(model, code=code_of(spec.encoder))
    layers = pooled_layers(
        encoder,
        [*train.texts, *test.texts],
        pooling=spec.pooling,
        pad_id=encoder.config.pad_token_id or 0,
        device=context.device,
        type_ids=_joined(train.type_ids, test.type_ids),
        window_lengths=_joined(train.window_lengths, test.window_lengths),
    )
    border = len(train.ids)
    num_labels = len(read_labels(data))
    rows = num_labels if spec.choices_apart else 1
    parts = {
        "train": Part(train.ids, train.labels, [layer[:border] for layer in layers], rows),
        "test": Part(test.ids, test.labels, [layer[border:] for layer in layers], rows),
    }
    write_layers(context.out, parts, num_labels=num_labels)
    return {"layers": float(len(layers))} | counts


def _sample(split: Split, size: int, seed: int) -> Split:
    order = np.random.default_rng(seed).permutation(len(split.ids))[:size]
    return split.rows(order.tolist())


def _joined(first: Column, second: Column) -> Column:
    return None if first is None or second is None else [*first, *second]
