"""States of labelled words, pairs and spans in every layer, from one forward pass; one file a layer.

A span is the mean over its tokens; a pair is the states of its two spans, one after the other (Zhou and
Srikumar 2022, section 3). Only the requested states are kept.

Axes: U units, D features.
"""

from collections.abc import Sequence

import numpy as np
from transformers import PreTrainedModel

from layerscope.jobs.artifacts.examples import SplitName
from layerscope.jobs.artifacts.layers import Part, write_layers
from layerscope.jobs.artifacts.sentences import (
    AnnotatedSplit,
    LabelledUnit,
    read_annotated,
    read_annotated_labels,
)
from layerscope.jobs.context import StageContext
from layerscope.jobs.encoders.loading import load_encoder, snapshot_folder
from layerscope.jobs.encoders.unit_states import unit_layers
from layerscope.jobs.own_code import code_of
from layerscope.jobs.specs.annotations import SpanStatesSpec


def run(spec: SpanStatesSpec, context: StageContext) -> dict[str, float]:
    """Layer 0 is the output of the embeddings."""
    data = context.inputs["data"]
    model = context.inputs.get("model") or context.inputs["encoder"]
    encoder = load_encoder(snapshot_folder(model, spec.snapshot), code=code_of(spec.encoder))
    sizes: dict[SplitName, int] = {"train": spec.num_train, "test": spec.num_test}
    parts: dict[str, Part] = {}
    for name, size in sizes.items():
        split = read_annotated(data, name)
        units = _drawn(split.units, size, spec.seed)
        layers = _states(encoder, split, units, context)
        parts[name] = Part([unit.id for unit in units], [unit.label for unit in units], layers)
    write_layers(context.out, parts, num_labels=len(read_annotated_labels(data)))
    return {
        "layers": float(len(parts["train"].layers)),
        "train/units": float(len(parts["train"].ids)),
        "test/units": float(len(parts["test"].ids)),
    }


def _drawn(units: Sequence[LabelledUnit], size: int, seed: int) -> list[LabelledUnit]:
    order = np.random.default_rng(seed).permutation(len(units))[:size]
    return [units[place] for place in order]


def _states(
    encoder: PreTrainedModel, split: AnnotatedSplit, units: Sequence[LabelledUnit], context: StageContext
) -> list[np.ndarray]:
    places = sorted({unit.sentence for unit in units})
    row_of = {sentence: row for row, sentence in enumerate(places)}
    return unit_layers(
        encoder,
        [split.input_ids[place] for place in places],
        [(row_of[unit.sentence], unit.spans) for unit in units],
        pad_id=encoder.config.pad_token_id or 0,
        device=context.device,
        type_ids=None if split.type_ids is None else [split.type_ids[place] for place in places],
    )
