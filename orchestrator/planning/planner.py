"""From variants to stages: what is shared, what collapses, what is measured."""

from collections.abc import Callable, Iterable
from functools import cache, partial

from jobs.specs.stages import FinetuneSpec, PrepareSpec
from orchestrator.experiment.experiment import Experiment, Recipe
from orchestrator.experiment.pretrainings import name_and_step
from orchestrator.experiment.variants import Variant, varied_factors
from orchestrator.planning.encoders import LocatedEncoder
from orchestrator.planning.measures import measures_of
from orchestrator.planning.plan import Plan, PlannedVariant, Stage, make_stage, merge
from orchestrator.planning.pretraining import pretraining_stage, snapshot_of
from orchestrator.planning.recipes import training_of
from orchestrator.planning.sources import Sources
from orchestrator.planning.views import view_of


def make_plan(experiment: Experiment, sources: Sources, variants: Iterable[Variant]) -> Plan:
    """The stages of these variants; variants whose views are identical become one."""
    pretrained = cache(partial(pretraining_stage, experiment, sources))
    return merge(_plan_variant(experiment, sources, variant, pretrained) for variant in variants)


def _plan_variant(
    experiment: Experiment,
    sources: Sources,
    variant: Variant,
    pretrained: Callable[[LocatedEncoder, str, str], Stage],
) -> PlannedVariant:
    recipe = variant.recipe
    source, encoder = sources.tasks[variant.task], sources.encoders[recipe.encoder]
    view = view_of(source, encoder, recipe)
    weights = {"encoder": str(encoder.folder)}
    stages: dict[str, Stage] = {}
    start: dict[str, Stage] = {}
    snapshot = None
    if recipe.pretraining != "none":
        name, _ = name_and_step(recipe.pretraining)
        snapshot = snapshot_of(experiment, recipe.pretraining)
        stages["pretrain"] = pretrained(encoder, variant.task, name)
        start = {"encoder": stages["pretrain"]}
    training = training_of(recipe, encoder, in_windows=view.spec.truncation == "windows")
    spec = FinetuneSpec(encoder=encoder.digest, snapshot=snapshot, training=training, seed=variant.seed)
    pooler = {"pooler": str(encoder.folder)} if training.pooling == "pooler" else {}
    finetune = make_stage(spec, parents={"data": view} | start, files=weights | pooler)
    stages["finetune"] = finetune
    stages |= measures_of(
        experiment,
        encoder,
        recipe,
        view=view,
        finetune=finetune,
        start=start,
        probing=sources.probing,
        snapshot=snapshot,
    )
    shown = _shown_recipe(recipe, view, finetune)
    condition = " ".join(f"{name}={_shown(shown[name])}" for name in varied_factors(experiment))
    return PlannedVariant(variant.task, variant.seed, shown, condition or "recipe", stages)


def _shown_recipe(recipe: Recipe, view: Stage, finetune: Stage) -> dict[str, object]:
    """The recipe as it was written, with nothing in place of what has no effect."""
    spec, tuned = view.spec, finetune.spec
    assert isinstance(spec, PrepareSpec)
    assert isinstance(tuned, FinetuneSpec)
    return recipe.model_dump() | {
        "truncation": "whole" if spec.truncation == "whole" else recipe.truncation,
        "head_tokens": spec.head_tokens if recipe.truncation == "head+tail" else None,
        "window_overlap": spec.window_overlap,
        "max_windows": spec.max_windows,
        "layer_pooling": tuned.training.layer_pooling,
        "window_pooling": tuned.training.window_pooling,
    }


def _shown(value: object) -> str:
    match value:
        case float():
            return f"{value:g}"
        case tuple():
            return f"[{','.join(map(str, value))}]"
        case _:
            return str(value)
