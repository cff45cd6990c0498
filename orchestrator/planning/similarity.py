"""What is measured of the similarity of a variant's layers: maps, and what is read off them."""

from collections.abc import Iterator

from jobs.specs.similarity import BlocksSpec, SimilarityMeasure, SimilaritySpec
from jobs.specs.stages import CkaSpec, PrepareSpec
from orchestrator.experiment.experiment import START, Experiment, Measures
from orchestrator.planning.encoders import LocatedEncoder
from orchestrator.planning.feature_stages import shape_of
from orchestrator.planning.plan import Stage, make_stage


def similarity_of(measures: Measures, *, view: Stage, tuned: Stage, begun: Stage) -> dict[str, Stage]:
    """The stages by role.

    Args:
        tuned, begun: States of the tuned model and of its start on the texts of the view.
    """
    stages: dict[str, Stage] = {}
    if measures.cka:
        stages["cka/within"] = make_stage(CkaSpec(against="itself"), parents={"states": tuned})
        stages["cka/start"] = make_stage(CkaSpec(against="start"), parents={"states": tuned, "other": begun})
        stages[f"cka/within/{START}"] = make_stage(CkaSpec(against="itself"), parents={"states": begun})
        for role, of in (("blocks", "cka/within"), (f"blocks/{START}", f"cka/within/{START}")):
            stages[role] = make_stage(BlocksSpec(), parents={"map": stages[of]})
    for measure in measures.similarity:
        role = f"similarity/{measure}"
        stages[f"{role}/within"] = similarity_stage(measure, tuned, view=view)
        stages[f"{role}/{START}"] = similarity_stage(measure, tuned, begun, view=view)
    return stages


def similarity_stage(
    measure: SimilarityMeasure, states: Stage, other: Stage | None = None, *, view: Stage | None = None
) -> Stage:
    """A measure of one model's layers, or of two models' layers on the same texts, which the view has."""
    spec = SimilaritySpec(measure=measure, against="itself" if other is None else "other")
    parents = {"states": states} | ({} if other is None else {"other": other})
    if measure == "partial_cka":
        assert view is not None and isinstance(view.spec, PrepareSpec)
        parents["data"] = view
    return make_stage(spec, parents=parents)


def similarity_faults(experiment: Experiment, encoder: LocatedEncoder) -> Iterator[str]:
    """Measures for which there are too few examples whatever they hold, in words."""
    if "pwcca" not in experiment.measures.similarity:
        return
    try:
        _, width = shape_of(encoder.folder)
    except KeyError:
        return
    if experiment.measures.num_test <= 2 * width:
        yield (
            f"measures.similarity: pwcca of {encoder.name} needs more examples than two layers have "
            f"directions: num_test above {2 * width}, not {experiment.measures.num_test}"
        )
