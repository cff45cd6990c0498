"""Recipes without the factors that have no effect: those that train alike are one stage."""

from collections.abc import Iterator
from typing import Any

from layerscope.jobs.specs.annotations import TokeniseAnnotationsSpec
from layerscope.jobs.specs.layers import layers_read
from layerscope.jobs.specs.recipe import Training
from layerscope.orchestrator.experiment.experiment import Recipe
from layerscope.orchestrator.planning.plan import Stage
from layerscope.orchestrator.planning.sources.encoder_folders import LocatedEncoder
from layerscope.orchestrator.planning.stages.feature_stages import (
    without_effect as without_effect_on_features,
)

OF_TEXTS = ("pooling", "truncation", "max_length", "head_tokens", "window_overlap", "max_windows")
"""Factors that say which tokens of a text are read: of a unit its own are, and a sentence is never cut."""


def training_of(
    recipe: Recipe, encoder: LocatedEncoder, *, in_windows: bool, of_units: bool = False
) -> Training:
    """What a recipe says of the training; factors that change nothing beside the others are defaults.

    Args:
        in_windows: Whether a text is several sequences.
        of_units: Whether it is units of annotated sentences that are learnt.
    """
    given = {name: getattr(recipe, name) for name in Training.model_fields}
    idle = _idle_factors(recipe) | ({"pooling"} if of_units else set())
    defaults = {name: Training.model_fields[name].default for name in idle}
    return Training(**given | defaults | read_by_head(recipe, encoder, in_windows=in_windows))


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


def without_effect(recipe: Recipe, data: Stage) -> Iterator[str]:
    """Factors that change nothing of a recipe on some data, whatever they are."""
    if isinstance(data.spec, TokeniseAnnotationsSpec):
        yield from OF_TEXTS
    yield from without_effect_on_features(recipe)


def _idle_factors(recipe: Recipe) -> set[str]:
    idle: set[str] = set()
    decays = recipe.layer_decay < 1 and recipe.frozen_layers != "all"
    if not decays:
        idle.add("layer_decay")
        if recipe.decay_convention != "revisit":  # It spares the head the weight decay too.
            idle.add("decay_convention")
    if not decays or recipe.frozen_layers != 0 or recipe.lora_rank is not None:
        idle.add("embeddings_rate")
    if recipe.lora_rank is None:
        idle |= {"lora_alpha", "lora_dropout"}
    return idle
