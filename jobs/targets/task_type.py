"""A task type as one value: all array computations that differ between labels, numbers and choices.

Axes: N targets, K labels or choices (1 for a number), R rows of states (R = N, or N times the number of
choices), H logits of a row (K, or 1 for the score of a choice).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from layerscope.jobs.kernels.probes.refitted_heads import RefittedHeads
from layerscope.jobs.specs.targets import TARGET_FACTS, Metric, Target, TargetFacts
from layerscope.jobs.targets.own_metrics import LoadedMetric

Targets = Sequence[Any] | np.ndarray
"""Targets as in `jobs.artifacts.tokenised.Split`: positions of labels or choices, numbers, or `Answers`."""


class HeadShape(NamedTuple):
    """Arguments of a classifier's head, as in `jobs.encoders.heads.Classifier`."""

    num_labels: int
    num_choices: int | None = None
    judges_choices: bool = False


class FitHeads(Protocol):
    """Fits a linear head for each layer."""

    def __call__(
        self,
        layers: Sequence[np.ndarray],
        targets_N: np.ndarray,
        *,
        num_labels: int,
        penalties: Sequence[float],
        seed: int,
        device: str,
    ) -> RefittedHeads: ...


@dataclass(frozen=True)
class Export:
    """How an exported model of the type is described and called."""

    title: str
    """Title of the model card."""
    pipeline: Callable[[str, str, str], str]
    """Python lines that get predictions from a pipeline `classify`, given Python code of its input (`given`),
    of a text with its pair (`pair`) and of the truncation options (`cut`)."""
    answer: str
    """Python line that gets predictions from `logits`."""
    in_words: Callable[[Sequence[str]], str]
    """Description of the logits, given the names of the labels."""


@dataclass(frozen=True)
class TaskType:
    """What a task type computes from logits (N, K) and from states of layers."""

    name: Target
    head: Callable[[int], HeadShape]
    """The head's shape, given the number of labels, or the largest number of choices of a row."""
    mean_loss: Callable[[torch.Tensor, Sequence[Any]], torch.Tensor]
    """Training loss: one number with a gradient."""
    reported_loss: Callable[[Sequence[Any], np.ndarray], float]
    """The same loss for a whole split, in the precision in which it is reported."""
    has_learnt: Callable[[Sequence[Any], Sequence[Any], np.ndarray], bool]
    """Given training targets, targets and logits: whether predictions significantly beat the best constant
    prediction on the training data, or random choice if rows have different numbers of choices; one-sided,
    95 %. The best of several evaluations passes slightly more easily than a single one."""
    predict: Callable[[np.ndarray], np.ndarray] = lambda logits_NK: logits_NK.argmax(axis=1)
    """Index of the most likely label or choice (N), or the predicted number."""
    written: Callable[[Sequence[Any]], list[Any]] = list
    """Targets as JSON values, as stored with predictions."""
    first_bias: Callable[[Sequence[Any]], float] | None = None
    """Initial bias of the head, given the training targets; 0 if None."""
    fit_heads: FitHeads | None = None
    """None if several choices of a row may be right."""
    export: Export | None = None
    """None if transformers has no class for this task type."""

    @property
    def facts(self) -> TargetFacts:
        """The facts about the type that need no arrays."""
        return TARGET_FACTS[self.name]

    def predictions(self, logits_NK: np.ndarray) -> list[int] | list[float]:
        """Predictions as JSON values."""
        predictions: list[int] | list[float] = self.predict(logits_NK).tolist()
        return predictions

    def metrics(self, targets: Targets, logits_NK: np.ndarray) -> dict[str, float]:
        """Every metric by name; binary metrics come last, and only with two labels."""
        predictions = self.predictions(logits_NK)
        found: dict[str, float] = {}
        for metric in sorted(self.facts.metrics, key=lambda metric: metric.of_two_labels):
            if not metric.of_two_labels or logits_NK.shape[1] == 2:
                found[metric.name] = _value(metric, targets, predictions, found)
        return found

    def scores(
        self,
        targets: Sequence[Any],
        logits_NK: np.ndarray,
        *,
        prefix: str,
        own: LoadedMetric | None = None,
    ) -> dict[str, float]:
        """Every metric, including a custom one, and the mean loss, by names such as `<prefix>/accuracy`."""
        found = self.metrics(targets, logits_NK) | {"loss": self.reported_loss(targets, logits_NK)}
        if own is not None:
            found[own.name] = own.value(self.written(targets), self.predictions(logits_NK))
        return {f"{prefix}/{name}": value for name, value in found.items()}

    def rows_per_example(self, num_labels: int) -> int:
        """Number of consecutive rows of states per target."""
        return num_labels if self.facts.choices_apart else 1


def _value(metric: Metric, targets: Targets, predictions: Sequence[Any], found: Mapping[str, float]) -> float:
    if metric.mean_of:
        return sum(found[name] for name in metric.mean_of) / len(metric.mean_of)
    module, _, function = metric.function.partition(":")
    compute: Callable[[Targets, Sequence[Any]], float]
    compute = getattr(import_module(f"layerscope.jobs.{module}"), function)
    return compute(targets, predictions)
