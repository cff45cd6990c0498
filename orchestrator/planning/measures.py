"""The measures of a variant, and the states of layers that they rest on."""

from collections.abc import Mapping, Sequence

from jobs.specs.stages import CkaSpec, DepthSpec, ExtractSpec, FinetuneSpec, ProbeSpec
from orchestrator.experiment.experiment import Experiment, Recipe
from orchestrator.planning.encoders import LocatedEncoder
from orchestrator.planning.heads import is_plain
from orchestrator.planning.plan import PlannedVariant, Stage, make_stage


def measures_of(
    experiment: Experiment,
    encoder: LocatedEncoder,
    recipe: Recipe,
    *,
    view: Stage,
    finetune: Stage,
    start: Mapping[str, Stage],
) -> dict[str, Stage]:
    """The measures of a variant by role, each on the tuned model, and what they rest on.

    Accuracy against depth is left out where the head is not a linear one on the highest layer alone.
    """
    measures = experiment.measures
    spec = ExtractSpec(
        encoder=encoder.digest,
        pooling="mean" if recipe.pooling == "mean" else "cls",
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
    assert isinstance(finetune.spec, FinetuneSpec)
    if measures.depth and is_plain(finetune.spec.training):
        stages["depth"] = make_stage(DepthSpec(), parents={"states": tuned, "model": finetune})
    return stages


def depth_note(experiment: Experiment, variants: Sequence[PlannedVariant]) -> str | None:
    """Says of how many variants accuracy against depth cannot be measured; nothing where it is of all."""
    without = [variant for variant in variants if "depth" not in variant.stages]
    if not experiment.measures.depth or not without:
        return None
    return (
        f"accuracy against depth is not measured of {len(without)} of {len(variants)} variants: "
        "it needs a linear head on one layer (no pooler, no several layers, no windows)"
    )
