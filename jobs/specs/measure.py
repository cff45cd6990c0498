"""The declaration of a measure: its curves, its stages, and the modules of stages and figures.

Planner, report, tracker and `compare` loop over `jobs.measures.MEASURES` and know no measure by name.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from layerscope.jobs.specs.encoders import EncoderFacts
from layerscope.jobs.specs.faults import Fault
from layerscope.jobs.specs.roles import RANDOM, START, TUNED, Role
from layerscope.jobs.specs.spec import Spec
from layerscope.jobs.specs.targets import TARGET_FACTS, Target, TargetFacts

LAYER = "layer (0: embeddings)"
"""Meaning of the steps of most measures."""


@dataclass(frozen=True)
class Curve:
    """A curve over layers."""

    words: str = ""
    """Description in the title of its own figure; empty for no figure."""
    scale: tuple[float, float] = (-math.inf, math.inf)
    """Minimum and maximum."""

    @property
    def scale_of_differences(self) -> tuple[float, float]:
        """Minimum and maximum of a difference of two values."""
        low, high = self.scale
        return low - high, high - low


@dataclass(frozen=True)
class Subject:
    """Examples of a task, and the models measured on them."""

    name: str
    """Name of the probing task; empty for a variant's own task."""
    target: Target
    """The prediction target."""
    models: tuple[str, ...]
    """`TUNED`, `START` if that is another model, checkpoints, `RANDOM` if requested."""
    has_words: bool = False
    """Whether the examples are labelled spans of annotated sentences."""
    has_plain_head: bool = False
    """Whether the fine-tuned model has a linear head on one layer."""

    @property
    def facts(self) -> TargetFacts:
        """Declared properties of the task type."""
        return TARGET_FACTS[self.target]

    @property
    def is_own(self) -> bool:
        """Whether the examples are those of the variant's own task."""
        return not self.name

    @property
    def trained_models(self) -> tuple[str, ...]:
        """All except the randomly initialised one."""
        return tuple(model for model in self.models if model != RANDOM)

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """Names of the checkpoints, in order of training."""
        return tuple(model for model in self.trained_models if model not in (TUNED, START))


@dataclass(frozen=True)
class States:
    """A parent: the hidden states of the subject's examples in a model."""

    model: str


@dataclass(frozen=True)
class Examples:
    """A parent: the prepared examples of the subject."""


@dataclass(frozen=True)
class TunedModel:
    """A parent: the fine-tuning, with its head."""


Parent = States | Examples | TunedModel | Role
"""Input of a stage; a role names a stage of the same variant that was declared earlier."""


@dataclass(frozen=True)
class Wanted:
    """A stage that a measure requests for a subject."""

    role: Role
    spec: Spec
    parents: Mapping[str, Parent]
    files: Mapping[str, str] = field(default_factory=dict)
    """Paths of external files by role; their digests are in the spec."""


@dataclass(frozen=True)
class LayerMeasure:
    """A plug-in measure, defined in its file as `MEASURE`."""

    title: str
    """Heading of its section in the report."""
    function: Callable[[list[Any], Any], Mapping[str, Any]]
    """From the hidden states of the test examples, float32 (N, D) per layer, 0 the embeddings, and their
    labels, int (N,), to one value per layer for every declared curve. Non-finite values are not logged."""
    curves: Mapping[str, Curve]
    """By name, as returned by the function."""
    words: str = ""
    """One or two sentences under the heading."""
    needs_labels: bool = True
    """Whether it is restricted to tasks with labels."""


def _no_faults(settings: Any, facts: EncoderFacts, name: str) -> Iterator[Fault]:
    yield from ()


@dataclass(frozen=True)
class Measure:
    """The declaration of a measure; its stages may log declared curves only."""

    name: str
    """The first part of its roles."""
    title: str
    """Heading of its section in the report."""
    curves: Mapping[str, Curve]
    stages: Callable[[Any, Subject], Iterable[Wanted]]
    """The stages for one subject, given the experiment's settings."""
    modules: Mapping[str, str]
    """By kind of stage, the module whose `run` computes it."""
    words: str = ""
    """One or two sentences under the heading."""
    called: str = ""
    """Its name in notes on tasks without it, as `geometry`; empty if covered by another measure's note."""
    draws_curves: bool = True
    """Whether curves without description get one figure each; otherwise the folder's report draws them."""
    axis: str = LAYER
    """What the steps of its curves are."""
    captions: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Title and y label of figures of curves without words, by role and curve, as `cka/within/next_layer`."""
    faults: Callable[[Any, EncoderFacts, str], Iterator[Fault]] = field(default=_no_faults)
    """What an encoder of a name cannot have measured."""

    def curve(self, name: str) -> Curve:
        """A declared curve.

        Raises:
            ValueError: no curve has this name.
        """
        if name not in self.curves:
            known = ", ".join(self.curves) or "no curves"
            raise ValueError(f"{self.name} has no curve {name}: it has {known}")
        return self.curves[name]

    def caption(self, curve: str) -> tuple[str, str]:
        """Title and y label of the figure of a curve, named with its role; that name without a caption."""
        return self.captions.get(curve, (curve, curve))

    @property
    def drawn(self) -> dict[str, str]:
        """The description of each curve with its own figure."""
        return {name: curve.words for name, curve in self.curves.items() if curve.words}
