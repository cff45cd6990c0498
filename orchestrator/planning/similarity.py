"""What is measured of the similarity of a variant's layers: maps, and what is read off them."""

from collections.abc import Iterator

from layerscope.jobs.specs.roles import START
from layerscope.jobs.specs.similarity import BlocksSpec, SimilarityMeasure, SimilaritySpec
from layerscope.jobs.specs.stages import CkaSpec, PrepareSpec
from layerscope.orchestrator.experiment.experiment import Experiment, Measures
from layerscope.orchestrator.planning.encoders import LocatedEncoder
from layerscope.orchestrator.planning.plan import Stage, make_stage


def similarity_of(measures: Measures, *, view: Stage, tuned: Stage, begun: Stage | None) -> dict[str, Stage]:
    """The stages by role.

    Args:
        tuned, begun: States of the model and of its start, if that is another, on the texts of the view.
    """
    stages: dict[str, Stage] = {}
    models = {"": tuned} | ({} if begun is None else {f"/{START}": begun})
    if measures.cka:
        for suffix, states in models.items():
            stages[f"cka/within{suffix}"] = make_stage(CkaSpec(against="itself"), parents={"states": states})
        if begun is not None:
            against = {"states": tuned, "other": begun}
            stages[f"cka/{START}"] = make_stage(CkaSpec(against="start"), parents=against)
        for suffix in models:
            parents = {"map": stages[f"cka/within{suffix}"]}
            stages[f"blocks{suffix}"] = make_stage(BlocksSpec(), parents=parents)
    for measure in measures.similarity:
        stages[f"similarity/{measure}/within"] = similarity_stage(measure, tuned, view=view)
        if begun is not None:
            stages[f"similarity/{measure}/{START}"] = similarity_stage(measure, tuned, begun, view=view)
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
    width = encoder.facts.width
    if experiment.measures.num_test <= 2 * width:
        yield (
            f"measures.similarity: pwcca of {encoder.name} needs more examples than two layers have "
            f"directions: num_test above {2 * width}, not {experiment.measures.num_test}"
        )
