"""The measures of a variant, and the hidden states that they need."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import assert_never

from layerscope.jobs.measures import MEASURES
from layerscope.jobs.measures.layer_dropping.specs import REFITTED_HEAD, TUNED_HEAD
from layerscope.jobs.specs.annotations import SpanStatesSpec, TokeniseAnnotationsSpec
from layerscope.jobs.specs.measure import Examples, Measure, Parent, States, Subject, TunedModel
from layerscope.jobs.specs.roles import RANDOM, START, TUNED, Role
from layerscope.jobs.specs.stages import (
    Checkpoint,
    FinetuneSpec,
    PrepareSpec,
    RandomEncoderSpec,
    TextStatesSpec,
    target_of,
)
from layerscope.jobs.specs.targets import TARGET_FACTS, Target
from layerscope.orchestrator.experiment.experiment import Experiment, Measures, Recipe
from layerscope.orchestrator.planning.plan import PlannedVariant, Stage, make_stage
from layerscope.orchestrator.planning.sources.encoder_folders import LocatedEncoder
from layerscope.orchestrator.planning.sources.sources import AnnotatedSource, TaskSource
from layerscope.orchestrator.planning.stages.effective_recipes import is_plain
from layerscope.orchestrator.planning.stages.sentence_stages import sentences_of
from layerscope.orchestrator.planning.stages.tuning_checkpoints import at
from layerscope.orchestrator.planning.stages.view_stages import view_of


def measures_of(
    experiment: Experiment,
    encoder: LocatedEncoder,
    recipe: Recipe,
    *,
    data: Stage,
    finetune: Stage[FinetuneSpec] | None,
    start: Mapping[str, Stage],
    probing: Mapping[str, TaskSource | AnnotatedSource],
    declared: Mapping[str, Measure] = MEASURES,
    snapshot: int | None = None,
) -> dict[str, Stage]:
    """The measures of a variant by role, on the fine-tuned model, and the stages that they need.

    Layer dropping is left out unless the head is linear on the highest layer only, and at most one choice of
    a row is correct.

    Args:
        finetune: None for a frozen encoder: its layers are measured instead of a fine-tuned model's, without
            a base model to compare with.
    """
    measures = experiment.measures
    begun_from = start.get("encoder")
    states = partial(states_of, encoder=encoder, recipe=recipe, measures=measures)
    models: dict[str, Callable[[Stage], Stage]] = {}
    if finetune is not None:
        models[TUNED] = partial(states, model=finetune)
    models[TUNED if finetune is None else START] = partial(states, model=begun_from, snapshot=snapshot)
    if finetune is not None:
        models |= {
            at(each): partial(states, model=finetune, snapshot=each) for each in finetune.spec.checkpoints
        }
    if measures.random_encoder:
        models[RANDOM] = partial(states, model=_random_encoder(encoder))
    examples: dict[str, Stage] = {"": data} | {
        name: probed_examples(source, encoder, recipe, measures) for name, source in probing.items()
    }
    has_plain_head = finetune is not None and is_plain(finetune.spec.training)
    return measure_stages(
        declared,
        measures,
        [
            MeasuredExamples(
                Subject(
                    name,
                    predicted_of(of),
                    tuple(models),
                    has_words=isinstance(of.spec, TokeniseAnnotationsSpec),
                    has_plain_head=has_plain_head,
                ),
                of,
                {model: cache(partial(states_in_model, of)) for model, states_in_model in models.items()},
            )
            for name, of in examples.items()
        ],
        finetune=finetune,
    )


@dataclass(frozen=True)
class MeasuredExamples:
    """A subject with the stages that its measures read."""

    subject: Subject
    data: Stage
    states: Mapping[str, Callable[[], Stage]]
    """Gives the hidden states of the examples, by model."""


def measure_stages(
    declared: Mapping[str, Measure],
    settings: Measures,
    examples: Sequence[MeasuredExamples],
    *,
    finetune: Stage | None,
) -> dict[str, Stage]:
    """The stages of all measures by role, with the parents that they declare."""
    stages: dict[str, Stage] = {}
    for measure in declared.values():
        for of in examples:
            for wanted in measure.stages(settings, of.subject):
                parents = {
                    role: _parent(parent, of, finetune, stages) for role, parent in wanted.parents.items()
                }
                stages[str(wanted.role)] = make_stage(wanted.spec, parents=parents, files=wanted.files)
    return stages


def _parent(
    parent: Parent, of: MeasuredExamples, finetune: Stage | None, stages: Mapping[str, Stage]
) -> Stage:
    match parent:
        case States():
            return of.states[parent.model]()
        case Examples():
            return of.data
        case TunedModel():
            assert finetune is not None
            return finetune
        case Role():
            return stages[str(parent)]
        case never:
            assert_never(never)


def predicted_of(data: Stage) -> Target:
    """What is predicted of the rows, or of the units, that a stage leaves."""
    spec = data.spec
    return target_of(spec.columns, spec.predict) if isinstance(spec, PrepareSpec) else "label"


def lacking_notes(
    experiment: Experiment,
    variants: Sequence[PlannedVariant],
    *,
    declared: Mapping[str, Measure] = MEASURES,
) -> list[str]:
    """Notes on requested measures that tasks or variants do not have."""
    return [
        note
        for note in (_depth_note(experiment, variants), _labels_note(experiment, variants, declared))
        if note is not None
    ]


def _depth_note(experiment: Experiment, variants: Sequence[PlannedVariant]) -> str | None:
    """Note on variants without layer dropping; empty if all have it."""
    without = [one for one in variants if not {str(TUNED_HEAD), str(REFITTED_HEAD)} & one.stages.keys()]
    if not (experiment.measures.depth or experiment.measures.refit) or not without:
        return None
    return (
        f"layer dropping (depth) is not measured for {len(without)} of {len(variants)} variants: "
        "it needs a linear head on one layer (no pooler, no several layers, no windows) and at most "
        "one correct choice per row"
    )


def _random_encoder(encoder: LocatedEncoder) -> Stage[RandomEncoderSpec]:
    return make_stage(RandomEncoderSpec(encoder=encoder.digest), files={"encoder": str(encoder.folder)})


def _labels_note(
    experiment: Experiment, variants: Sequence[PlannedVariant], declared: Mapping[str, Measure]
) -> str | None:
    """Note on tasks without labels, if a requested measure needs labels."""
    data = {variant.task: variant.stages["finetune"].parents["data"] for variant in variants}
    without = {
        task: predicted_of(stage)
        for task, stage in data.items()
        if not TARGET_FACTS[predicted_of(stage)].has_labels
    }
    lacking = []
    for measure in declared.values():
        tasks = [task for task, of in without.items() if _lacks(measure, experiment.measures, of)]
        if measure.called and tasks:
            some = "" if len(tasks) == len(without) else f" (in {', '.join(tasks)})"
            lacking.append(f"no {measure.called}{some}")
    if not lacking:
        return None
    return f"no labels are predicted in {', '.join(without)}, so there is {', '.join(lacking)}"


def _lacks(measure: Measure, settings: Measures, target: Target) -> bool:
    """Whether the settings request the measure, and a target does not have it."""
    models = (TUNED, START)
    return bool(list(measure.stages(settings, Subject("", "label", models)))) and not list(
        measure.stages(settings, Subject("", target, models))
    )


def probed_examples(
    source: TaskSource | AnnotatedSource, encoder: LocatedEncoder, recipe: Recipe, measures: Measures
) -> Stage:
    """The examples of a probing task."""
    if isinstance(source, TaskSource):
        return view_of(source, encoder, recipe)
    return sentences_of(source, encoder, sentence_length=measures.sentence_length, are_tuned_on=False)


def states_of(
    data: Stage,
    model: Stage | None,
    *,
    encoder: LocatedEncoder,
    recipe: Recipe,
    measures: Measures,
    snapshot: Checkpoint | None = None,
) -> Stage:
    """Layers of a model, or of the encoder as it came, over the examples of a stage."""
    spec: SpanStatesSpec | TextStatesSpec
    if isinstance(data.spec, TokeniseAnnotationsSpec):
        spec = SpanStatesSpec(
            encoder=encoder.digest,
            snapshot=snapshot,
            num_train=measures.num_train,
            num_test=measures.num_test,
        )
    else:
        spec = TextStatesSpec(
            encoder=encoder.digest,
            snapshot=snapshot,
            pooling="cls" if recipe.pooling == "pooler" else recipe.pooling,
            num_train=measures.num_train,
            num_test=measures.num_test,
            choices_apart=TARGET_FACTS[predicted_of(data)].choices_apart,
        )
    if model is None:
        return make_stage(spec, parents={"data": data}, files={"encoder": str(encoder.folder)})
    return make_stage(spec, parents={"data": data, "model": model})
