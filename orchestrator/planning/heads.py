"""How a recipe's head reads the encoder: what of it has an effect, and what the encoder does not have."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jobs.specs.layers import layers_read
from jobs.specs.recipe import Training
from orchestrator.experiment.experiment import Experiment, Recipe
from orchestrator.experiment.variants import possible_values
from orchestrator.planning.depths import depth_of
from orchestrator.planning.encoders import LocatedEncoder
from orchestrator.planning.weights import weight_names

POOLER_ENDS = ("pooler.dense.weight", "pooler.weight")
"""Ends of the names of a pooler's weights: BERT's, ALBERT's."""


def read_by_head(recipe: Recipe, encoder: LocatedEncoder, *, in_windows: bool) -> dict[str, Any]:
    """The factors of the head without what has no effect: what reads the same is written the same.

    Args:
        in_windows: Whether a text is several sequences.
    """
    fields: dict[str, Any] = {"layers": "last"}
    if recipe.layers != "last":
        total = depth_of(encoder.folder).num_layers
        assert total is not None, "head_faults refuses it"
        layers = layers_read(recipe.layers, total)
        fields["layers"] = "last" if layers == (total,) else layers
    if fields["layers"] == "last" or len(fields["layers"]) == 1:
        fields["layer_pooling"] = None
    if not in_windows:
        fields["window_pooling"] = None
    return fields


def is_plain(training: Training) -> bool:
    """Whether the head is a linear one on the highest layer that is kept, and a text one sequence."""
    return training.pooling != "pooler" and training.layer_pooling is None and training.window_pooling is None


def head_faults(experiment: Experiment, encoder: LocatedEncoder) -> Iterator[str]:
    """Layers and poolers that are asked for and not there, in words."""
    total = depth_of(encoder.folder).num_layers
    for layers in possible_values(experiment, "layers"):
        if layers == "last":
            continue
        if isinstance(layers, float):  # An end of a searched range.
            layers = int(layers)
        if total is None:
            yield f"layers: config.json of {encoder.name} does not say how many there are; use last"
            break
        try:
            layers_read(layers, total)
        except ValueError as error:
            yield f"layers: {encoder.name}: {error}"
    if "pooler" in possible_values(experiment, "pooling") and not has_pooler(encoder.folder):
        yield f"pooling: {encoder.name} has no weights of a pooler; use cls, mean or last"


def has_pooler(folder: Path) -> bool:
    """Whether a folder has the weights of a pooler (dense, tanh) over the first token.

    DeBERTa's is part of a classifier and has another activation, so it does not count.
    """
    if str(_config(folder).get("model_type")).startswith("deberta"):
        return False
    return any(name.endswith(POOLER_ENDS) for name in weight_names(folder))


def _config(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))
