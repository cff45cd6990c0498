"""A task type as one value: everything that differs between labels, numbers and choices where arrays are met.

Axes: N targets, K labels or choices (1 where a number is predicted), R rows of states (R = N, or as many for
each target as it has choices), H logits of a row (K, or 1 where a choice is scored by itself).
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
"""Those of `jobs.artifacts.tokenised.Split`: places of labels or choices, numbers, or `Answers`."""


class HeadShape(NamedTuple):
    """Arguments of a classifier's head, as in `jobs.encoders.heads.Classifier`."""

    num_labels: int
    num_choices: int | None = None
    judges_choices: bool = False


class FitHeads(Protocol):
    """A linear head for each layer."""

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
    """What the card calls such a model."""
    pipeline: Callable[[str, str, str], str]
    """Lines of Python that give what is predicted by a pipeline `classify`: of what it is given (`given`), of
    a text with its pair (`pair`) and of the options that cut (`cut`)."""
    answer: str
    """The line of Python from `logits` to what is predicted."""
    in_words: Callable[[Sequence[str]], str]
    """What the logits stand for, given the names of the labels."""


@dataclass(frozen=True)
class TaskType:
    """What a task type computes of logits (N, K) and of states of layers."""

    name: Target
    head: Callable[[int], HeadShape]
    """Given the number of labels, or of choices of the row that has most."""
    mean_loss: Callable[[torch.Tensor, Sequence[Any]], torch.Tensor]
    """What a training minimises, as one number with a gradient."""
    reported_loss: Callable[[Sequence[Any], np.ndarray], float]
    """The same of a whole split, in the precision in which it is reported."""
    has_learnt: Callable[[Sequence[Any], Sequence[Any], np.ndarray], bool]
    """Given training targets, targets and logits: whether predictions do better than the one answer that
    suits the training data best, or than drawing a choice where rows have differently many; one-sided, 95 %.
    The best of several evaluations passes a little more easily than a single one."""
    predict: Callable[[np.ndarray], np.ndarray] = lambda logits_NK: logits_NK.argmax(axis=1)
    """The number of the most likely label or choice (N); or the predicted number itself."""
    written: Callable[[Sequence[Any]], list[Any]] = list
    """Targets as JSON has them beside predictions."""
    first_bias: Callable[[Sequence[Any]], float] | None = None
    """Where the bias of the head begins, given the training targets; at 0 without."""
    fit_heads: FitHeads | None = None
    """None where several choices of a row may be right."""
    export: Export | None = None
    """None where no class of transformers answers so."""

    @property
    def facts(self) -> TargetFacts:
        """What is known of it without arrays."""
        return TARGET_FACTS[self.name]

    def predictions(self, logits_NK: np.ndarray) -> list[int] | list[float]:
        """As JSON has them."""
        predictions: list[int] | list[float] = self.predict(logits_NK).tolist()
        return predictions

    def metrics(self, targets: Targets, logits_NK: np.ndarray) -> dict[str, float]:
        """Every metric by name; those of two labels last, and only where labels are two."""
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
        """Every metric, the user's own one too, and the mean loss, as `<prefix>/accuracy`."""
        found = self.metrics(targets, logits_NK) | {"loss": self.reported_loss(targets, logits_NK)}
        if own is not None:
            found[own.name] = own.value(self.written(targets), self.predictions(logits_NK))
        return {f"{prefix}/{name}": value for name, value in found.items()}

    def rows_per_example(self, num_labels: int) -> int:
        """Rows of states one after the other that are of one target."""
        return num_labels if self.facts.choices_apart else 1


def _value(metric: Metric, targets: Targets, predictions: Sequence[Any], found: Mapping[str, float]) -> float:
    if metric.mean_of:
        return sum(found[name] for name in metric.mean_of) / len(metric.mean_of)
    module, _, function = metric.function.partition(":")
    compute: Callable[[Targets, Sequence[Any]], float]
    compute = getattr(import_module(f"layerscope.jobs.{module}"), function)
    return compute(targets, predictions)
