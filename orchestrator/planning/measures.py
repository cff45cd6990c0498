"""The measures of a variant, and the states of layers that they rest on."""

from collections.abc import Mapping, Sequence
from functools import partial

from jobs.specs.annotations import AnnotateSpec, RepresentSpec
from jobs.specs.stages import DepthSpec, ExtractSpec, FinetuneSpec, ProbeSpec, RefitSpec
from orchestrator.experiment.experiment import START, Experiment, Measures, Recipe
from orchestrator.planning.encoders import LocatedEncoder
from orchestrator.planning.heads import is_plain
from orchestrator.planning.plan import PlannedVariant, Stage, make_stage
from orchestrator.planning.similarity import similarity_of
from orchestrator.planning.sources import AnnotatedSource, TaskSource
from orchestrator.planning.views import view_of


def measures_of(
    experiment: Experiment,
    encoder: LocatedEncoder,
    recipe: Recipe,
    *,
    view: Stage,
    finetune: Stage,
    start: Mapping[str, Stage],
    probing: Mapping[str, TaskSource | AnnotatedSource],
    snapshot: int | None = None,
) -> dict[str, Stage]:
    """The measures of a variant by role, each on the tuned model, and what they rest on.

    Accuracy against depth is left out where the head is not a linear one on the highest layer alone.
    """
    measures = experiment.measures
    begun_from = start.get("encoder")
    states = partial(states_of, encoder=encoder, recipe=recipe, measures=measures)
    tuned, begun = states(view, finetune), states(view, begun_from, snapshot=snapshot)
    stages: dict[str, Stage] = {}
    if measures.probe:
        stages["probe"] = make_stage(ProbeSpec(), parents={"states": tuned})
        stages[f"probe/{START}"] = make_stage(ProbeSpec(), parents={"states": begun})
        for name, source in probing.items():
            data = probed_examples(source, encoder, recipe, measures)
            probed = {
                f"probe/{name}": states(data, finetune),
                f"probe/{name}/{START}": states(data, begun_from, snapshot=snapshot),
            }
            for role, of in probed.items():
                stages[role] = make_stage(ProbeSpec(), parents={"states": of})
    stages |= similarity_of(measures, view=view, tuned=tuned, begun=begun)
    assert isinstance(finetune.spec, FinetuneSpec)
    if measures.depth and is_plain(finetune.spec.training):
        stages["depth"] = make_stage(DepthSpec(), parents={"states": tuned, "model": finetune})
    if measures.refit and is_plain(finetune.spec.training):
        stages["depth/refit"] = make_stage(RefitSpec(), parents={"states": tuned})
    return stages


def depth_note(experiment: Experiment, variants: Sequence[PlannedVariant]) -> str | None:
    """Says of how many variants accuracy against depth cannot be measured; nothing where it is of all."""
    without = [one for one in variants if not {"depth", "depth/refit"} & one.stages.keys()]
    if not (experiment.measures.depth or experiment.measures.refit) or not without:
        return None
    return (
        f"accuracy against depth is not measured of {len(without)} of {len(variants)} variants: "
        "it needs a linear head on one layer (no pooler, no several layers, no windows)"
    )


def probed_examples(
    source: TaskSource | AnnotatedSource, encoder: LocatedEncoder, recipe: Recipe, measures: Measures
) -> Stage:
    """The examples of a probing task."""
    if isinstance(source, TaskSource):
        return view_of(source, encoder, recipe)
    spec = AnnotateSpec(
        data=source.data,
        data_version=source.data_version,
        tokenizer=encoder.tokenizer_digest,
        max_length=measures.sentence_length,
    )
    return make_stage(spec, files=dict(source.files) | {"tokenizer": str(encoder.folder)})


def states_of(
    data: Stage,
    model: Stage | None,
    *,
    encoder: LocatedEncoder,
    recipe: Recipe,
    measures: Measures,
    snapshot: int | None = None,
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
