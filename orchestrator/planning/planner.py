"""From variants to stages: what is shared, what collapses, what is measured."""

from collections.abc import Iterable

from jobs.specs.recipe import Training
from jobs.specs.stages import FinetuneSpec, PrepareSpec, PretrainSpec
from orchestrator.experiment.experiment import Experiment, Recipe
from orchestrator.experiment.variants import Variant, varied_factors
from orchestrator.planning.encoders import LocatedEncoder
from orchestrator.planning.feature_stages import feature_head, without_effect
from orchestrator.planning.joint import joint_tasks, joint_training
from orchestrator.planning.measures import measures_of
from orchestrator.planning.plan import Plan, PlannedVariant, Stage, make_stage, merge
from orchestrator.planning.sources import Sources, TaskSource
from orchestrator.planning.views import view_of, whole_texts


def make_plan(experiment: Experiment, sources: Sources, variants: Iterable[Variant]) -> Plan:
    """The stages of these variants; variants whose views are identical become one."""
    return merge(_plan_variant(experiment, sources, variant) for variant in variants)


def _plan_variant(experiment: Experiment, sources: Sources, variant: Variant) -> PlannedVariant:
    source, encoder, recipe = sources.tasks[variant.task], sources.encoder, variant.recipe
    view = view_of(source, encoder, recipe)
    weights = {"encoder": str(encoder.folder)}
    stages: dict[str, Stage] = {}
    start: dict[str, Stage] = {}
    if recipe.pretraining in experiment.multi_task:
        stages |= _joint(experiment, sources, encoder, recipe.pretraining)
        start = {"encoder": stages["multitask"]}
    elif recipe.pretraining != "none":
        stages["pretrain"] = _pretraining(experiment, source, encoder, recipe.pretraining)
        start = {"encoder": stages["pretrain"]}
    if recipe.features is not None:
        stages["finetune"] = feature_head(
            experiment, encoder, recipe, view=view, start=start, seed=variant.seed
        )
    else:
        training = Training(**{name: getattr(recipe, name) for name in Training.model_fields})
        spec = FinetuneSpec(encoder=encoder.digest, training=training, seed=variant.seed)
        finetune = make_stage(spec, parents={"data": view} | start, files=weights)
        stages["finetune"] = finetune
        stages |= measures_of(experiment, encoder, recipe, view=view, finetune=finetune, start=start)
    shown = _shown_recipe(recipe, view)
    condition = " ".join(f"{name}={_shown(shown[name])}" for name in varied_factors(experiment))
    return PlannedVariant(variant.task, variant.seed, shown, condition or "recipe", stages)


def _pretraining(experiment: Experiment, source: TaskSource, encoder: LocatedEncoder, name: str) -> Stage:
    spec = PretrainSpec(encoder=encoder.digest, training=experiment.pretraining[name])
    corpus = whole_texts(source, encoder)
    return make_stage(spec, parents={"corpus": corpus}, files={"encoder": str(encoder.folder)})


def _joint(experiment: Experiment, sources: Sources, encoder: LocatedEncoder, name: str) -> dict[str, Stage]:
    """A joint training, and before it the pretraining that it comes after."""
    after = experiment.multi_task[name].after
    if after is None:
        return {"multitask": joint_training(experiment, sources, encoder, name, after=None)}
    source = sources.tasks[joint_tasks(experiment, name)[0]]
    pretraining = _pretraining(experiment, source, encoder, after)
    return {
        "pretrain": pretraining,
        "multitask": joint_training(experiment, sources, encoder, name, after=pretraining),
    }


def _shown_recipe(recipe: Recipe, view: Stage) -> dict[str, object]:
    spec = view.spec
    assert isinstance(spec, PrepareSpec)
    cut = {"truncation": spec.truncation, "head_tokens": spec.head_tokens}
    return recipe.model_dump() | cut | dict.fromkeys(without_effect(recipe))


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
