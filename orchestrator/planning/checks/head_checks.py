"""How a recipe's head reads the encoder: settings with effect, and settings that the encoder lacks."""

from collections.abc import Iterator
from typing import Any

from layerscope.jobs.specs.layers import layers_read
from layerscope.jobs.specs.recipe import Training
from layerscope.orchestrator.experiment.experiment import Experiment, Recipe
from layerscope.orchestrator.experiment.variants import possible_values
from layerscope.orchestrator.planning.sources.encoder_folders import LocatedEncoder


def read_by_head(recipe: Recipe, encoder: LocatedEncoder, *, in_windows: bool) -> dict[str, Any]:
    """The factors of the head without those that have no effect, in one canonical form.

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
    """Whether the head is linear on the highest kept layer, and a text is one sequence."""
    return training.pooling != "pooler" and training.layer_pooling is None and training.window_pooling is None


def head_faults(experiment: Experiment, encoder: LocatedEncoder) -> Iterator[str]:
    """Requested layers and poolers that do not exist, in words."""
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
        yield f"pooling: {encoder.name} has no pooler weights; use cls, mean or last"
