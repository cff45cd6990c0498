"""What is measured of the similarity of a variant's layers: maps, and what is read off them."""

from jobs.specs.similarity import BlocksSpec
from jobs.specs.stages import CkaSpec
from orchestrator.experiment.experiment import START, Measures
from orchestrator.planning.plan import Stage, make_stage


def similarity_of(measures: Measures, *, tuned: Stage, begun: Stage) -> dict[str, Stage]:
    """The stages by role.

    Args:
        tuned, begun: States of the tuned model and of its start on the same texts.
    """
    stages: dict[str, Stage] = {}
    if measures.cka:
        stages["cka/within"] = make_stage(CkaSpec(against="itself"), parents={"states": tuned})
        stages["cka/start"] = make_stage(CkaSpec(against="start"), parents={"states": tuned, "other": begun})
        stages[f"cka/within/{START}"] = make_stage(CkaSpec(against="itself"), parents={"states": begun})
        for role, of in (("blocks", "cka/within"), (f"blocks/{START}", f"cka/within/{START}")):
            stages[role] = make_stage(BlocksSpec(), parents={"map": stages[of]})
    return stages
