"""From variants to stages: what is shared, what collapses, what is measured."""

from collections.abc import Callable, Iterable
from functools import cache, partial

from jobs.specs.recipe import Training
from jobs.specs.stages import FinetuneSpec, PrepareSpec
from orchestrator.experiment.experiment import Experiment, Recipe
from orchestrator.experiment.pretrainings import name_and_step
from orchestrator.experiment.variants import Variant, varied_factors
from orchestrator.planning.measures import measures_of
from orchestrator.planning.plan import Plan, PlannedVariant, Stage, make_stage, merge
from orchestrator.planning.pretraining import pretraining_stage, snapshot_of
from orchestrator.planning.sources import Sources
from orchestrator.planning.views import view_of


def make_plan(experiment: Experiment, sources: Sources, variants: Iterable[Variant]) -> Plan:
    """The stages of these variants; variants whose views are identical become one."""
    pretrained = cache(partial(pretraining_stage, experiment, sources))
    return merge(_plan_variant(experiment, sources, variant, pretrained) for variant in variants)


def _plan_variant(
    experiment: Experiment, sources: Sources, variant: Variant, pretrained: Callable[[str, str], Stage]
) -> PlannedVariant:
    source, encoder, recipe = sources.tasks[variant.task], sources.encoder, variant.recipe
    view = view_of(source, encoder, recipe)
    weights = {"encoder": str(encoder.folder)}
    stages: dict[str, Stage] = {}
    start: dict[str, Stage] = {}
    snapshot = None
    if recipe.pretraining != "none":
        name, _ = name_and_step(recipe.pretraining)
        snapshot = snapshot_of(experiment, recipe.pretraining)
        stages["pretrain"] = pretrained(variant.task, name)
        start = {"encoder": stages["pretrain"]}
    training = Training(**{name: getattr(recipe, name) for name in Training.model_fields})
    spec = FinetuneSpec(encoder=encoder.digest, snapshot=snapshot, training=training, seed=variant.seed)
    finetune = make_stage(spec, parents={"data": view} | start, files=weights)
    stages["finetune"] = finetune
    stages |= measures_of(
        experiment, encoder, recipe, view=view, finetune=finetune, start=start, snapshot=snapshot
    )
    shown = _shown_recipe(recipe, view)
    condition = " ".join(f"{name}={_shown(shown[name])}" for name in varied_factors(experiment))
    return PlannedVariant(variant.task, variant.seed, shown, condition or "recipe", stages)


def _shown_recipe(recipe: Recipe, view: Stage) -> dict[str, object]:
    spec = view.spec
    assert isinstance(spec, PrepareSpec)
    return recipe.model_dump() | {"truncation": spec.truncation, "head_tokens": spec.head_tokens}


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
