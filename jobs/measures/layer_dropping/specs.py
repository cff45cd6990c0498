"""Layer dropping as a value: specs, settings, curves and stages."""

from collections.abc import Iterator
from typing import Literal

from layerscope.jobs.specs.encoders import EncoderFacts
from layerscope.jobs.specs.faults import Fault
from layerscope.jobs.specs.measure import Curve, Measure, Parent, States, Subject, TunedModel, Wanted
from layerscope.jobs.specs.roles import TUNED, Role
from layerscope.jobs.specs.spec import Spec, Strict
from layerscope.jobs.specs.targets import METRICS, Target

TUNED_HEAD, REFITTED_HEAD = Role("depth"), Role("depth", "refit")


class DepthSpec(Spec):
    """The task's scores when only the first k layers are kept, the tuned head applied unchanged.

    Parents: states (text_states or span_states), model (finetune).
    """

    kind: Literal["depth"] = "depth"
    target: Target = "label"
    """What is predicted; of choices, each has a row of states."""


class RefitSpec(Spec):
    """The task's scores when only the first k layers are kept, with a linear head of its own for each k,
    fitted on the training states of layer k. Parents: states (text_states or span_states).
    """

    kind: Literal["refit"] = "refit"
    target: Target = "label"
    """What is predicted; of choices, each has a row of states."""
    penalties: tuple[float, ...] = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
    """L2 penalties tried on a held-out part of the training examples, of numbers on each left out in turn. Of
    labels each is 1 / (C n), as for probes."""
    seed: int = 0


class LayerDroppingSettings(Strict):
    """Keys of `measures` in an experiment that speak of layer dropping."""

    depth: bool = True
    """Accuracy of the tuned head where only the lowest layers are kept."""
    refit: bool = False
    """Accuracy against depth also with a linear head that is fitted anew to each layer."""


def _stages(settings: LayerDroppingSettings, subject: Subject) -> Iterator[Wanted]:
    """Of a linear head on one layer, and where no more than one choice of a row is right."""
    if not subject.is_own or not subject.has_plain_head or not subject.facts.has_one_answer:
        return
    if settings.depth:
        parents: dict[str, Parent] = {"states": States(TUNED), "model": TunedModel()}
        yield Wanted(TUNED_HEAD, DepthSpec(target=subject.target), parents)
    if settings.refit:
        yield Wanted(REFITTED_HEAD, RefitSpec(target=subject.target), {"states": States(TUNED)})


def _faults(settings: LayerDroppingSettings, facts: EncoderFacts, name: str) -> Iterator[Fault]:
    if settings.depth and facts.cut_fault is not None:
        yield Fault(("measures", "depth"), f"{name}: {facts.cut_fault}: must be false")


DEPTH = Measure(
    name="depth",
    title="Accuracy against depth",
    words="The score when only the first layers are kept.",
    axis="layers kept",
    curves={name: Curve(scale=metric.scale) for name, metric in METRICS.items()},
    stages=_stages,
    modules={
        "depth": "layerscope.jobs.measures.layer_dropping.tuned_head_stage",
        "refit": "layerscope.jobs.measures.layer_dropping.refitted_head_stage",
    },
    faults=_faults,
)
