"""The measures of a variant, and the states of layers that they rest on."""

from collections.abc import Mapping

from jobs.specs.stages import CkaSpec, DepthSpec, ExtractSpec, ProbeSpec
from orchestrator.experiment.experiment import Experiment, Recipe
from orchestrator.planning.encoders import LocatedEncoder
from orchestrator.planning.plan import Stage, make_stage


def measures_of(
    experiment: Experiment,
    encoder: LocatedEncoder,
    recipe: Recipe,
    *,
    view: Stage,
    finetune: Stage,
    start: Mapping[str, Stage],
    snapshot: int | None = None,
) -> dict[str, Stage]:
    """The measures of a variant by role, each on the tuned model, and what they rest on."""
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
        spec.model_copy(update={"snapshot": snapshot}),
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
