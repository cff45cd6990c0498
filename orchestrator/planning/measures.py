"""The measures of a variant, and the states of layers that they rest on."""

from collections.abc import Mapping, Sequence
from functools import partial

from layerscope.jobs.specs.annotations import AnnotateSpec, RepresentSpec
from layerscope.jobs.specs.measures import RandomEncoderSpec
from layerscope.jobs.specs.roles import RANDOM, START
from layerscope.jobs.specs.stages import (
    Checkpoint,
    DepthSpec,
    ExtractSpec,
    FinetuneSpec,
    PrepareSpec,
    RefitSpec,
    target_of,
)
from layerscope.jobs.specs.targets import TARGET_FACTS, Target
from layerscope.orchestrator.experiment.experiment import Experiment, Measures, Recipe
from layerscope.orchestrator.planning.checkpoints import at
from layerscope.orchestrator.planning.encoders import LocatedEncoder
from layerscope.orchestrator.planning.heads import is_plain
from layerscope.orchestrator.planning.layer_measures import TUNED, Subject, geometry_of, probes_of
from layerscope.orchestrator.planning.plan import PlannedVariant, Stage, make_stage
from layerscope.orchestrator.planning.sentences import sentences_of
from layerscope.orchestrator.planning.similarity import similarity_of
from layerscope.orchestrator.planning.sources import AnnotatedSource, TaskSource
from layerscope.orchestrator.planning.views import view_of


def measures_of(
    experiment: Experiment,
    encoder: LocatedEncoder,
    recipe: Recipe,
    *,
    data: Stage,
    finetune: Stage | None,
    start: Mapping[str, Stage],
    probing: Mapping[str, TaskSource | AnnotatedSource],
    snapshot: int | None = None,
) -> dict[str, Stage]:
    """The measures of a variant by role, each on the tuned model, and what they rest on.

    Accuracy against depth is left out where the head is not a linear one on the highest layer alone, and
    where several choices of a row may be right.

    Args:
        finetune: None where the encoder is frozen: its layers are then measured in place of a tuned model's,
            and there is nothing to set them against.
    """
    measures = experiment.measures
    begun_from = start.get("encoder")
    states = partial(states_of, encoder=encoder, recipe=recipe, measures=measures)
    models = {}
    if finetune is not None:
        assert isinstance(finetune.spec, FinetuneSpec)
        models[TUNED] = partial(states, model=finetune)
    models[TUNED if finetune is None else START] = partial(states, model=begun_from, snapshot=snapshot)
    if finetune is not None:
        models |= {
            at(each): partial(states, model=finetune, snapshot=each) for each in finetune.spec.checkpoints
        }
    if measures.random_encoder:
        models[RANDOM] = partial(states, model=_random_encoder(encoder))
    examples = {"": data} | {
        name: probed_examples(source, encoder, recipe, measures) for name, source in probing.items()
    }
    subjects = {
        name: Subject(of, {model: states_in(of) for model, states_in in models.items()}, predicted_of(of))
        for name, of in examples.items()
    }
    own = subjects[""].states
    stages = probes_of(measures, subjects)
    stages |= similarity_of(measures, view=data, tuned=own[TUNED], begun=own.get(START))
    target = predicted_of(data)
    if finetune is not None and is_plain(finetune.spec.training) and TARGET_FACTS[target].has_one_answer:
        if measures.depth:
            parents = {"states": own[TUNED], "model": finetune}
            stages["depth"] = make_stage(DepthSpec(target=target), parents=parents)
        if measures.refit:
            stages["depth/refit"] = make_stage(RefitSpec(target=target), parents={"states": own[TUNED]})
    return stages | geometry_of(measures, subjects)


def predicted_of(data: Stage) -> Target:
    """What is predicted of the rows, or of the units, that a stage leaves."""
    spec = data.spec
    return target_of(spec.columns, spec.predict) if isinstance(spec, PrepareSpec) else "label"


def depth_note(experiment: Experiment, variants: Sequence[PlannedVariant]) -> str | None:
    """Says of how many variants accuracy against depth cannot be measured; nothing where it is of all."""
    without = [one for one in variants if not {"depth", "depth/refit"} & one.stages.keys()]
    if not (experiment.measures.depth or experiment.measures.refit) or not without:
        return None
    return (
        f"accuracy against depth is not measured of {len(without)} of {len(variants)} variants: "
        "it needs a linear head on one layer (no pooler, no several layers, no windows) and at most "
        "one right choice of a row"
    )


def _random_encoder(encoder: LocatedEncoder) -> Stage:
    return make_stage(RandomEncoderSpec(encoder=encoder.digest), files={"encoder": str(encoder.folder)})


def labels_note(experiment: Experiment, variants: Sequence[PlannedVariant]) -> str | None:
    """Says which tasks have no labels, where something is asked that is of labels alone."""
    data = {variant.task: variant.stages["finetune"].parents["data"] for variant in variants}
    without = [task for task, stage in data.items() if not TARGET_FACTS[predicted_of(stage)].has_labels]
    measures = experiment.measures
    asked = {
        "no linear probe where several choices may be right": "linear" in measures.probes
        and not all(TARGET_FACTS[predicted_of(stage)].has_one_answer for stage in data.values()),
        "no probes of two hidden layers": "mlp" in measures.probes,
        "no description length": measures.description_length,
        "no geometry": measures.geometry,
        "no spread": measures.spread,
    }
    lacking = [what for what, is_asked in asked.items() if is_asked]
    if not without or not lacking:
        return None
    return f"no labels are predicted in {', '.join(without)}: of their layers there is {', '.join(lacking)}"


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
    common = {
        "encoder": encoder.digest,
        "snapshot": snapshot,
        "num_train": measures.num_train,
        "num_test": measures.num_test,
    }
    if isinstance(data.spec, AnnotateSpec):
        spec = RepresentSpec(**common)
    else:
        pooling = "cls" if recipe.pooling == "pooler" else recipe.pooling
        spec = ExtractSpec(
            pooling=pooling, choices_apart=TARGET_FACTS[predicted_of(data)].choices_apart, **common
        )
    if model is None:
        return make_stage(spec, parents={"data": data}, files={"encoder": str(encoder.folder)})
    return make_stage(spec, parents={"data": data, "model": model})
