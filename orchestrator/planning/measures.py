"""The measures of a variant, and the states of layers that they rest on."""

from collections.abc import Mapping, Sequence
from functools import partial

from jobs.specs.annotations import AnnotateSpec, RepresentSpec
from jobs.specs.stages import (
    Checkpoint,
    CkaSpec,
    DepthSpec,
    ExtractSpec,
    FinetuneSpec,
    PrepareSpec,
    ProbeSpec,
    target_of,
)
from orchestrator.experiment.experiment import START, Experiment, Measures, Recipe
from orchestrator.planning.checkpoints import at
from orchestrator.planning.encoders import LocatedEncoder
from orchestrator.planning.heads import is_plain
from orchestrator.planning.plan import PlannedVariant, Stage, make_stage
from orchestrator.planning.sentences import sentences_of
from orchestrator.planning.sources import AnnotatedSource, TaskSource
from orchestrator.planning.views import view_of


def measures_of(
    experiment: Experiment,
    encoder: LocatedEncoder,
    recipe: Recipe,
    *,
    data: Stage,
    finetune: Stage,
    start: Mapping[str, Stage],
    probing: Mapping[str, TaskSource | AnnotatedSource],
    snapshot: int | None = None,
) -> dict[str, Stage]:
    """The measures of a variant by role, each on the tuned model, and what they rest on.

    Accuracy against depth is left out where the head is not a linear one on the highest layer alone. Where
    numbers or choices are predicted, there are no labels to probe or to be right about.
    """
    measures = experiment.measures
    begun_from = start.get("encoder")
    states = partial(_states, encoder=encoder, recipe=recipe, measures=measures)
    tuned, begun = states(data, finetune), states(data, begun_from, snapshot=snapshot)
    stages: dict[str, Stage] = {}
    if measures.probe:
        along = partial(states_along, finetune=finetune, encoder=encoder, recipe=recipe, measures=measures)
        probed = {}
        if has_labels(data):
            probed = {"probe": tuned, f"probe/{START}": begun}
            probed |= {f"probe/{at(checkpoint)}": of for checkpoint, of in along(data).items()}
        for name, source in probing.items():
            examples = _probed(source, encoder, recipe, measures)
            probed[f"probe/{name}"] = states(examples, finetune)
            probed[f"probe/{name}/{START}"] = states(examples, begun_from, snapshot=snapshot)
            probed |= {f"probe/{name}/{at(checkpoint)}": of for checkpoint, of in along(examples).items()}
        stages |= {role: make_stage(ProbeSpec(), parents={"states": of}) for role, of in probed.items()}
    if measures.cka:
        stages["cka/within"] = make_stage(CkaSpec(against="itself"), parents={"states": tuned})
        stages["cka/start"] = make_stage(CkaSpec(against="start"), parents={"states": tuned, "other": begun})
    assert isinstance(finetune.spec, FinetuneSpec)
    if measures.depth and has_labels(data) and is_plain(finetune.spec.training):
        stages["depth"] = make_stage(DepthSpec(), parents={"states": tuned, "model": finetune})
    return stages


def has_labels(data: Stage) -> bool:
    """Whether it is labels that are predicted of the rows, or of the units, that a stage leaves."""
    spec = data.spec
    return not isinstance(spec, PrepareSpec) or target_of(spec.columns, spec.predict) == "label"


def states_along(
    data: Stage, *, finetune: Stage, encoder: LocatedEncoder, recipe: Recipe, measures: Measures
) -> dict[Checkpoint, Stage]:
    """Layers over the examples of a stage at each checkpoint of a fine-tuning."""
    assert isinstance(finetune.spec, FinetuneSpec)
    return {
        checkpoint: _states(
            data, finetune, encoder=encoder, recipe=recipe, measures=measures, snapshot=checkpoint
        )
        for checkpoint in finetune.spec.checkpoints
    }


def depth_note(experiment: Experiment, variants: Sequence[PlannedVariant]) -> str | None:
    """Says of how many variants accuracy against depth cannot be measured; nothing where it is of all."""
    without = [variant for variant in variants if "depth" not in variant.stages]
    if not experiment.measures.depth or not without:
        return None
    return (
        f"accuracy against depth is not measured of {len(without)} of {len(variants)} variants: "
        "it needs a linear head on one layer (no pooler, no several layers, no windows) that tells labels"
    )


def _probed(
    source: TaskSource | AnnotatedSource, encoder: LocatedEncoder, recipe: Recipe, measures: Measures
) -> Stage:
    """The examples of a probing task."""
    if isinstance(source, TaskSource):
        return view_of(source, encoder, recipe)
    return sentences_of(source, encoder, sentence_length=measures.sentence_length, are_tuned_on=False)


def _states(
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
        spec = ExtractSpec(pooling="mean" if recipe.pooling == "mean" else "cls", **common)
    if model is None:
        return make_stage(spec, parents={"data": data}, files={"encoder": str(encoder.folder)})
    return make_stage(spec, parents={"data": data, "model": model})
