"""Measures of layers besides the linear probe, CKA and depth: of a tuned model and of its start."""

from collections.abc import Mapping
from dataclasses import dataclass

from jobs.specs.measures import GeometrySpec, ShiftSpec, SpreadSpec
from orchestrator.experiment.experiment import START, Measures
from orchestrator.planning.plan import Stage, make_stage


@dataclass(frozen=True)
class Subject:
    """Examples of a task, and their states in the tuned model and in its start."""

    data: Stage
    tuned: Stage
    begun: Stage


def layer_measures(measures: Measures, subjects: Mapping[str, Subject]) -> dict[str, Stage]:
    """The measures by role, as `geometry`, `geometry/start`, `geometry/<task>` and `geometry/<task>/start`.

    What compares both, as `shift`, has no `start`.

    Args:
        subjects: By name of the probing task; the variant's own task has the name "".
    """
    stages: dict[str, Stage] = {}
    for name, subject in subjects.items():
        if measures.geometry:
            stages |= _geometry(measures, name, subject)
        if measures.spread:
            stages |= {
                _role("spread", name, *end): make_stage(SpreadSpec(), parents={"states": states})
                for end, states in (((), subject.tuned), ((START,), subject.begun))
            }
    return stages


def _geometry(measures: Measures, name: str, subject: Subject) -> dict[str, Stage]:
    spec = GeometrySpec(permutations=measures.permutations)
    tuned, begun = (
        make_stage(spec, parents={"states": states, "data": subject.data})
        for states in (subject.tuned, subject.begun)
    )
    moved = {
        "states": subject.tuned,
        "other": subject.begun,
        "geometry": tuned,
        "other_geometry": begun,
    }
    return {
        _role("geometry", name): tuned,
        _role("geometry", name, START): begun,
        _role("shift", name): make_stage(ShiftSpec(), parents=moved),
    }


def _role(measure: str, *names: str) -> str:
    return "/".join(filter(None, (measure, *names)))
