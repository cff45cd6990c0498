"""A measure of layers as a value: its curves, the stages that it wants, and where these and its figures are.

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
"""What the steps of nearly all measures of layers are."""


@dataclass(frozen=True)
class Curve:
    """A value of each layer."""

    words: str = ""
    """What a figure of its own says that it is; empty where it has none."""
    scale: tuple[float, float] = (-math.inf, math.inf)
    """The least and the largest value."""

    @property
    def scale_of_differences(self) -> tuple[float, float]:
        """The least and the largest difference of two values."""
        low, high = self.scale
        return low - high, high - low


@dataclass(frozen=True)
class Subject:
    """Examples of a task, and the models whose layers are measured on them."""

    name: str
    """Of the probing task; empty for a variant's own task."""
    target: Target
    """What is predicted of the examples."""
    models: tuple[str, ...]
    """`TUNED`, `START` where that is another one, checkpoints along the training, `RANDOM` if requested."""
    has_words: bool = False
    """Whether the examples are units of annotated sentences."""
    has_plain_head: bool = False
    """Whether the tuned model has a linear head on one layer."""

    @property
    def facts(self) -> TargetFacts:
        """What is known of the task type."""
        return TARGET_FACTS[self.target]

    @property
    def is_own(self) -> bool:
        """Whether the examples are those of the variant's own task."""
        return not self.name

    @property
    def trained_models(self) -> tuple[str, ...]:
        """All but the randomly initialised one."""
        return tuple(model for model in self.models if model != RANDOM)

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """Names of the checkpoints along the training, in order."""
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
"""What a stage reads; a role names a stage of the same variant that was declared before."""


@dataclass(frozen=True)
class Wanted:
    """A stage that a measure wants of a subject."""

    role: Role
    spec: Spec
    parents: Mapping[str, Parent]
    files: Mapping[str, str] = field(default_factory=dict)
    """Paths of outside files by role; their digests are in the spec."""


@dataclass(frozen=True)
class LayerMeasure:
    """A measure of the user's own, which a plug-in defines as `MEASURE`."""

    title: str
    """Heading of its section in the report."""
    function: Callable[[list[Any], Any], Mapping[str, Any]]
    """From the hidden states of the test examples, float32 (N, D) for each layer, 0 the embeddings, and their
    labels, int (N,), to a value of each layer for every declared curve. What is not finite is left out."""
    curves: Mapping[str, Curve]
    """By the names that the function returns."""
    words: str = ""
    """One or two sentences under the heading."""
    needs_labels: bool = True
    """Whether it is of tasks with labels alone."""


def _no_faults(settings: Any, facts: EncoderFacts, name: str) -> Iterator[Fault]:
    yield from ()


@dataclass(frozen=True)
class Measure:
    """What is declared of a measure; its stages may log declared curves only."""

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
    """What it is called where a task lacks it, as `geometry`; empty where another one speaks for it."""
    draws_curves: bool = True
    """Whether curves without words are drawn as they are, one figure each; else the folder's report draws."""
    axis: str = LAYER
    """What the steps of its curves are."""
    faults: Callable[[Any, EncoderFacts, str], Iterator[Fault]] = field(default=_no_faults)
    """What an encoder of a name cannot have measured."""

    def curve(self, name: str) -> Curve:
        """A declared curve.

        Raises:
            ValueError: there is none of this name.
        """
        if name not in self.curves:
            known = ", ".join(self.curves) or "no curves"
            raise ValueError(f"{self.name} has no curve that is called {name}: it has {known}")
        return self.curves[name]

    @property
    def drawn(self) -> dict[str, str]:
        """The words of each curve that has a figure of its own."""
        return {name: curve.words for name, curve in self.curves.items() if curve.words}
