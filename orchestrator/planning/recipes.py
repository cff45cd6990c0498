"""Recipes without the factors that have no effect: those that train alike are one stage."""

from jobs.specs.recipe import Training
from orchestrator.experiment.experiment import Recipe
from orchestrator.planning.encoders import LocatedEncoder
from orchestrator.planning.heads import read_by_head


def training_of(recipe: Recipe, encoder: LocatedEncoder, *, in_windows: bool) -> Training:
    """What a recipe says of the training; factors that change nothing beside the others are defaults.

    Args:
        in_windows: Whether a text is several sequences.
    """
    given = {name: getattr(recipe, name) for name in Training.model_fields}
    defaults = {name: Training.model_fields[name].default for name in _idle_factors(recipe)}
    return Training(**given | defaults | read_by_head(recipe, encoder, in_windows=in_windows))


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
