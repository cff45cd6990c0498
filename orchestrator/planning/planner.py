"""From variants to stages: what is shared, what collapses, what is measured."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial

from layerscope.jobs.specs.annotations import TokeniseAnnotationsSpec
from layerscope.jobs.specs.features import FeatureHeadSpec
from layerscope.jobs.specs.stages import FinetuneSpec, PrepareSpec, PretrainSpec
from layerscope.orchestrator.experiment.experiment import Experiment, Recipe
from layerscope.orchestrator.experiment.rules.pretrainings import name_and_step
from layerscope.orchestrator.experiment.variants import Variant, varied_factors
from layerscope.orchestrator.planning.metrics import selecting_metric
from layerscope.orchestrator.planning.plan import Plan, PlannedVariant, Stage, make_stage, merge
from layerscope.orchestrator.planning.sources.encoder_folders import LocatedEncoder
from layerscope.orchestrator.planning.sources.sources import Sources
from layerscope.orchestrator.planning.stages.compared_pairs import with_pairs
from layerscope.orchestrator.planning.stages.effective_recipes import training_of, without_effect
from layerscope.orchestrator.planning.stages.feature_stages import feature_head
from layerscope.orchestrator.planning.stages.joint_stages import joint_tasks, joint_training
from layerscope.orchestrator.planning.stages.measure_stages import measures_of
from layerscope.orchestrator.planning.stages.pretraining_stages import pretraining_stage, snapshot_of
from layerscope.orchestrator.planning.stages.tuning_checkpoints import kept_checkpoints
from layerscope.orchestrator.planning.stages.view_stages import in_windows, tuned_on


def make_plan(experiment: Experiment, sources: Sources, variants: Iterable[Variant]) -> Plan:
    """The stages of these variants; variants whose views are identical become one."""
    pretrained = cache(partial(pretraining_stage, experiment, sources))
    varied = varied_factors(experiment)
    planned = [
        (variant, _plan_variant(experiment, sources, variant, pretrained, varied)) for variant in variants
    ]
    return merge(with_pairs(experiment, sources, planned))


def _plan_variant(
    experiment: Experiment,
    sources: Sources,
    variant: Variant,
    pretrained: Callable[[LocatedEncoder, str, str], Stage[PretrainSpec]],
    varied: Sequence[str],
) -> PlannedVariant:
    recipe = variant.recipe
    source, encoder = sources.tasks[variant.task], sources.encoders[recipe.encoder]
    data = tuned_on(experiment, source, encoder, recipe)
    weights = {"encoder": str(encoder.folder)}
    stages: dict[str, Stage] = {}
    start: dict[str, Stage] = {}
    snapshot = None
    if recipe.pretraining in experiment.multi_task:
        stages |= _joint(experiment, sources, encoder, recipe.pretraining, pretrained)
        start = {"encoder": stages["multitask"]}
    elif recipe.pretraining != "none":
        name, _ = name_and_step(recipe.pretraining)
        snapshot = snapshot_of(experiment, recipe.pretraining)
        stages["pretrain"] = pretrained(encoder, variant.task, name)
        start = {"encoder": stages["pretrain"]}
    own = sources.own_metrics.get(variant.task)
    selected_by = own.spec if own else selecting_metric(source.task)
    scoring = {"metric": own.path} if own else {}
    tuned: Stage[FinetuneSpec] | None = None
    if recipe.features is not None:
        trained: Stage[FinetuneSpec | FeatureHeadSpec] = feature_head(
            experiment,
            encoder,
            recipe,
            view=data,
            start=start,
            snapshot=snapshot,
            seed=variant.seed,
            selected_by=selected_by,
            files=scoring,
        )
    else:
        training = training_of(
            recipe,
            encoder,
            in_windows=in_windows(data),
            of_units=isinstance(data.spec, TokeniseAnnotationsSpec),
        )
        spec = FinetuneSpec(
            encoder=encoder.digest,
            snapshot=snapshot,
            training=training,
            seed=variant.seed,
            checkpoints=kept_checkpoints(experiment),
            selected_by=selected_by,
        )
        pooler = {"pooler": str(encoder.folder)} if training.pooling == "pooler" else {}
        files = weights | pooler | scoring
        trained = tuned = make_stage(spec, parents={"data": data} | start, files=files)
    stages["finetune"] = trained
    stages |= measures_of(
        experiment,
        encoder,
        recipe,
        data=data,
        finetune=tuned,
        start=start,
        probing=sources.probing,
        declared=sources.measures,
        snapshot=snapshot,
    )
    shown = _shown_recipe(recipe, data, trained)
    condition = " ".join(f"{name}={_shown(shown[name])}" for name in varied)
    return PlannedVariant(variant.task, variant.seed, shown, condition or "recipe", stages)


def _joint(
    experiment: Experiment,
    sources: Sources,
    encoder: LocatedEncoder,
    name: str,
    pretrained: Callable[[LocatedEncoder, str, str], Stage[PretrainSpec]],
) -> dict[str, Stage]:
    """A joint training, and before it the pretraining that it comes after."""
    after = experiment.multi_task[name].after
    before: dict[str, Stage] = {}
    if after is not None:
        before["pretrain"] = pretrained(encoder, joint_tasks(experiment, name)[0], after)
    joint = joint_training(experiment, sources, encoder, name, after=before.get("pretrain"))
    return before | {"multitask": joint}


def _shown_recipe(
    recipe: Recipe,
    data: Stage[PrepareSpec | TokeniseAnnotationsSpec],
    finetune: Stage[FinetuneSpec | FeatureHeadSpec],
) -> dict[str, object]:
    """The recipe as it was written, with nothing in place of what has no effect."""
    spec, tuned = data.spec, finetune.spec
    shown: dict[str, object] = {name: getattr(recipe, name) for name in type(recipe).model_fields}
    if isinstance(spec, PrepareSpec):
        shown |= {
            "truncation": "whole" if spec.truncation == "whole" else recipe.truncation,
            "head_tokens": spec.head_tokens if recipe.truncation == "head+tail" else None,
            "window_overlap": spec.window_overlap,
            "max_windows": spec.max_windows,
        }
    if isinstance(tuned, FinetuneSpec):
        shown["layer_pooling"] = tuned.training.layer_pooling
        shown["window_pooling"] = tuned.training.window_pooling
    return shown | dict.fromkeys(without_effect(recipe, data))


def _shown(value: object) -> str:
    match value:
        case float():
            return f"{value:g}"
        case tuple():
            return f"[{','.join(map(str, value))}]"
        case _:
            return str(value)
