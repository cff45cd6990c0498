"""From variants to stages: what is shared, what collapses, what is measured."""

from collections.abc import Iterable, Mapping

from jobs.specs.recipe import Training
from jobs.specs.stages import (
    CkaSpec,
    DepthSpec,
    ExtractSpec,
    FinetuneSpec,
    PrepareSpec,
    PretrainSpec,
    ProbeSpec,
)
from orchestrator.experiment.experiment import Experiment, Recipe
from orchestrator.experiment.variants import Variant, varied_factors
from orchestrator.planning.encoders import LocatedEncoder
from orchestrator.planning.plan import Plan, PlannedVariant, Stage, make_stage, merge
from orchestrator.planning.sources import Sources, TaskSource


def make_plan(experiment: Experiment, sources: Sources, variants: Iterable[Variant]) -> Plan:
    """The stages of these variants; variants whose views are identical become one."""
    return merge(_plan_variant(experiment, sources, variant) for variant in variants)


def _plan_variant(experiment: Experiment, sources: Sources, variant: Variant) -> PlannedVariant:
    source, encoder, recipe = sources.tasks[variant.task], sources.encoder, variant.recipe
    view = _view(source, encoder, recipe)
    weights = {"encoder": str(encoder.folder)}
    stages: dict[str, Stage] = {}
    start: dict[str, Stage] = {}
    if recipe.pretraining != "none":
        corpus = _prepare(source, encoder, truncation="whole", max_length=None, head_tokens=None)
        spec = PretrainSpec(encoder=encoder.digest, training=experiment.pretraining[recipe.pretraining])
        stages["pretrain"] = make_stage(spec, parents={"corpus": corpus}, files=weights)
        start = {"encoder": stages["pretrain"]}
    training = Training(**{name: getattr(recipe, name) for name in Training.model_fields})
    spec = FinetuneSpec(encoder=encoder.digest, training=training, seed=variant.seed)
    finetune = make_stage(spec, parents={"data": view} | start, files=weights)
    stages["finetune"] = finetune
    stages |= _measures(experiment, encoder, recipe, view=view, finetune=finetune, start=start)
    shown = _shown_recipe(recipe, view)
    condition = " ".join(f"{name}={_shown(shown[name])}" for name in varied_factors(experiment))
    return PlannedVariant(variant.task, variant.seed, shown, condition or "recipe", stages)


def _measures(
    experiment: Experiment,
    encoder: LocatedEncoder,
    recipe: Recipe,
    *,
    view: Stage,
    finetune: Stage,
    start: Mapping[str, Stage],
) -> dict[str, Stage]:
    measures = experiment.measures
    spec = ExtractSpec(
        encoder=encoder.digest,
        pooling=recipe.pooling,
        num_train=measures.num_train,
        num_test=measures.num_test,
    )
    weights = {"encoder": str(encoder.folder)}
    tuned = make_stage(spec, parents={"data": view, "model": finetune})
    begun = make_stage(
        spec,
        parents={"data": view} | ({"model": start["encoder"]} if start else {}),
        files={} if start else weights,
    )
    stages: dict[str, Stage] = {}
    if measures.probe:
        stages["probe"] = make_stage(ProbeSpec(), parents={"states": tuned})
        stages["probe/start"] = make_stage(ProbeSpec(), parents={"states": begun})
    if measures.cka:
        stages["cka/within"] = make_stage(CkaSpec(against="itself"), parents={"states": tuned})
        stages["cka/start"] = make_stage(CkaSpec(against="start"), parents={"states": tuned, "other": begun})
    if measures.depth:
        stages["depth"] = make_stage(DepthSpec(), parents={"states": tuned, "model": finetune})
    return stages


def _view(source: TaskSource, encoder: LocatedEncoder, recipe: Recipe) -> Stage:
    if not source.exceeds(recipe.max_length):
        return _prepare(source, encoder, truncation="whole", max_length=None, head_tokens=None)
    head_tokens = recipe.head_tokens if recipe.truncation == "head+tail" else None
    return _prepare(
        source, encoder, truncation=recipe.truncation, max_length=recipe.max_length, head_tokens=head_tokens
    )


def _prepare(
    source: TaskSource,
    encoder: LocatedEncoder,
    *,
    truncation: str,
    max_length: int | None,
    head_tokens: int | None,
) -> Stage:
    spec = PrepareSpec(
        data=source.data,
        data_version=source.data_version,
        columns=source.task.columns,
        validation=source.task.validation,
        tokenizer=encoder.tokenizer_digest,
        truncation=truncation,
        max_length=max_length,
        head_tokens=head_tokens,
    )
    return make_stage(spec, files=dict(source.files) | {"tokenizer": str(encoder.folder)})


def _shown_recipe(recipe: Recipe, view: Stage) -> dict[str, object]:
    spec = view.spec
    assert isinstance(spec, PrepareSpec)
    return recipe.model_dump() | {"truncation": spec.truncation, "head_tokens": spec.head_tokens}


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
