"""Measures of layers besides CKA and depth: probes, geometry and spread of a model and of its start."""

from collections.abc import Mapping
from dataclasses import dataclass

from layerscope.jobs.specs.annotations import AnnotateSpec
from layerscope.jobs.specs.measures import (
    ControlProbeSpec,
    DescriptionLengthSpec,
    GeometrySpec,
    MlpProbeSpec,
    PathsSpec,
    ShiftSpec,
    SpreadSpec,
)
from layerscope.jobs.specs.roles import RANDOM, START
from layerscope.jobs.specs.spec import Spec
from layerscope.jobs.specs.stages import ProbeSpec
from layerscope.jobs.specs.targets import TARGET_FACTS, Target
from layerscope.orchestrator.experiment.experiment import Measures
from layerscope.orchestrator.planning.plan import Stage, make_stage

TUNED = ""


@dataclass(frozen=True)
class Subject:
    """Examples of a task, and their states in the tuned model and what it is set against."""

    data: Stage
    states: Mapping[str, Stage]
    """By name of the model: `TUNED`, `START` where that is another, `RANDOM` where it is asked for, and any
    others along the training."""
    target: Target = "label"
    """What is predicted of the examples."""

    @property
    def trained(self) -> Mapping[str, Stage]:
        """All but the one with fresh weights."""
        return {model: states for model, states in self.states.items() if model != RANDOM}


def probes_of(measures: Measures, subjects: Mapping[str, Subject]) -> dict[str, Stage]:
    """Probes and description lengths by role, as `probe`, `probe/start`, `probe/<task>`, `mlp_probe`, ...; of
    numbers and choices linear probes alone, and none where several choices may be right.

    Args:
        subjects: By name of the probing task; the variant's own task has the name "".
    """
    kinds: dict[str, Spec] = {}
    if "linear" in measures.probes:
        kinds["probe"] = ProbeSpec()
    if "mlp" in measures.probes:
        kinds["mlp_probe"] = MlpProbeSpec(networks=measures.networks)
    if measures.description_length:
        kinds["description_length"] = DescriptionLengthSpec()
    stages: dict[str, Stage] = {}
    for kind, spec in kinds.items():
        for name, subject in subjects.items():
            facts = TARGET_FACTS[subject.target]
            if not facts.has_labels and (kind != "probe" or not facts.has_one_answer):
                continue
            of = ProbeSpec(target=subject.target) if kind == "probe" else spec
            for model, states in subject.states.items():
                probe = make_stage(of, parents={"states": states})
                stages[_role(kind, name, model)] = probe
                if measures.control and kind != "description_length" and _has_words(subject):
                    parents = {"states": states, "data": subject.data, "probe": probe}
                    control = make_stage(ControlProbeSpec(probe=spec), parents=parents)
                    stages[_role(f"{kind}_control", name, model)] = control
    return stages


def geometry_of(measures: Measures, subjects: Mapping[str, Subject]) -> dict[str, Stage]:
    """Geometry and spread by role, as `geometry`, `geometry/start` and `geometry/<task>`; what compares
    models, as `shift` and `paths`, has no `start`. They are of labels alone. `subjects` as in `probes_of`."""
    stages: dict[str, Stage] = {}
    for name, subject in subjects.items():
        if not TARGET_FACTS[subject.target].has_labels:
            continue
        if measures.geometry:
            stages |= _geometry(measures, name, subject)
        if measures.spread:
            stages |= {
                _role("spread", name, model): make_stage(
                    SpreadSpec(), parents={"states": subject.states[model]}
                )
                for model in subject.trained
            }
    return stages


def _geometry(measures: Measures, name: str, subject: Subject) -> dict[str, Stage]:
    spec = GeometrySpec(permutations=measures.permutations)
    geometries = {
        model: make_stage(spec, parents={"states": states, "data": subject.data})
        for model, states in subject.trained.items()
    }
    stages = {_role("geometry", name, model): stage for model, stage in geometries.items()}
    if START not in geometries:
        return stages
    other = {"other": subject.states[START], "other_geometry": geometries[START]}
    for model in geometries:
        if model != START:
            moved = {"states": subject.states[model], "geometry": geometries[model]} | other
            stages[_role("shift", name, model)] = make_stage(ShiftSpec(), parents=moved)
    if along := {model: of for model, of in subject.trained.items() if model not in (TUNED, START)}:
        ends = {"start": subject.states[START], "end": subject.states[TUNED], "data": subject.data}
        spec = PathsSpec(checkpoints=tuple(along))
        stages[_role("paths", name)] = make_stage(spec, parents=ends | along)
    return stages


def _has_words(subject: Subject) -> bool:
    return isinstance(subject.data.spec, AnnotateSpec)


def _role(measure: str, *names: str) -> str:
    return "/".join(filter(None, (measure, *names)))
