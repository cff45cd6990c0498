"""How a recipe's head reads the encoder: what of it has an effect, and what the encoder does not have."""

from collections.abc import Iterator
from typing import Any

from layerscope.jobs.specs.layers import layers_read
from layerscope.jobs.specs.recipe import Training
from layerscope.orchestrator.experiment.experiment import Experiment, Recipe
from layerscope.orchestrator.experiment.variants import possible_values
from layerscope.orchestrator.planning.sources.encoder_folders import LocatedEncoder


def read_by_head(recipe: Recipe, encoder: LocatedEncoder, *, in_windows: bool) -> dict[str, Any]:
    """The factors of the head without what has no effect: what reads the same is written the same.

    Args:
        in_windows: Whether a text is several sequences.
    """
    fields: dict[str, Any] = {"layers": "last"}
    if recipe.layers != "last":
        total = encoder.facts.num_layers
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
    """Layers and poolers that are requested and not there, in words."""
    facts = encoder.facts
    for layers in possible_values(experiment, "layers"):
        if layers == "last":
            continue
        if isinstance(layers, float):  # An end of a searched range.
            layers = int(layers)
        try:
            highest = layers_read(layers, facts.num_layers)[-1]
        except ValueError as error:
            yield f"layers: {encoder.name}: {error}"
            continue
        if highest < facts.num_layers and facts.cut_fault is not None:
            yield f"layers: {encoder.name}: {facts.cut_fault}; use last"
    if "pooler" in possible_values(experiment, "pooling") and not facts.has_pooler:
        yield f"pooling: {encoder.name} has no weights of a pooler; use cls, mean or last"
