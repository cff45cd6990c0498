"""Specs, settings, curves and stages of layer dropping."""

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
    """The task's scores with only the first k layers and the fine-tuned head unchanged.

    Parents: states (text_states or span_states), model (finetune).
    """

    kind: Literal["depth"] = "depth"
    target: Target = "label"
    """The prediction target; in multiple choice, each choice has a row of states."""


class RefitSpec(Spec):
    """The task's scores with only the first k layers and a linear head refitted for each k on the training
    states of layer k. Parents: states (text_states or span_states).
    """

    kind: Literal["refit"] = "refit"
    target: Target = "label"
    """The prediction target; in multiple choice, each choice has a row of states."""
    penalties: tuple[float, ...] = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
    """L2 penalties, chosen on a held-out part of the training examples (for regression, leave-one-out). For
    labels each is 1 / (C n), as for probes."""
    seed: int = 0


class LayerDroppingSettings(Strict):
    """Layer dropping under `measures` in an experiment."""

    depth: bool = True
    """Scores of the fine-tuned head with only the bottom layers."""
    refit: bool = False
    """The same with a linear head refitted to each layer."""


def _stages(settings: LayerDroppingSettings, subject: Subject) -> Iterator[Wanted]:
    """Only for a linear head on one layer and at most one correct choice per example."""
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
    title="Scores by number of layers kept",
    words="Test scores with only the bottom layers.",
    axis="layers kept",
    curves={name: Curve(scale=metric.scale) for name, metric in METRICS.items()},
    captions={
        f"{role}/{name}": (f"{name} by number of layers kept{head}", name)
        for role, head in ((TUNED_HEAD, ""), (REFITTED_HEAD, ", refitted head"))
        for name in METRICS
    },
    stages=_stages,
    modules={
        "depth": "layerscope.jobs.measures.layer_dropping.tuned_head_stage",
        "refit": "layerscope.jobs.measures.layer_dropping.refitted_head_stage",
    },
    faults=_faults,
)
