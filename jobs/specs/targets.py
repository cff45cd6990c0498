"""Task types and metrics as declared values: what is known of them without arrays.

What each task type computes of its logits is in `jobs.targets`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

Target = Literal["label", "number", "choice", "answers"]
"""One label of several; a number; which of a row's own choices is right; or which of them, so many as it has,
are right."""
Predict = Literal["label", "number"]
"""What a label is, where a row has no choices."""
Kind = Literal["texts", "choices", "tokens"]
"""What a class of transformers classifies."""


@dataclass(frozen=True)
class Metric:
    """A score of predictions against what is true."""

    name: str
    function: str = ""
    """`module:function` in `jobs`, from what is true and what is predicted (N) to a number; none where the
    metric is a mean of others."""
    mean_of: tuple[str, ...] = ()
    """The metrics that it is the mean of, which stand before it."""
    scale: tuple[float, float] = (0, 1)
    """The least and the largest value."""
    of_two_labels: bool = False
    """Whether it is of the last of two labels, and of no other number of labels."""
    compares: Literal["right answers", "correlations"] = "right answers"
    """By what of the same examples two models are tested against each other."""


@dataclass(frozen=True)
class TargetFacts:
    """What the planner, the reader and the report know of a task type."""

    noun: str
    """What messages call the things that are predicted."""
    metrics: tuple[Metric, ...]
    selected_by: str
    """The metric on the validation split by which the best weights of a training are chosen, where its task
    has no other one."""
    has_labels: bool = False
    """Whether it is one of several labels: rows are drawn by it, networks and geometry read it, units and
    probing tasks have it."""
    has_choices: bool = False
    """Whether the windows of a row are its choices."""
    has_one_answer: bool = True
    """Whether one thing of each row is right: linear heads are fitted to layers, and models exported."""
    loaded_as: tuple[Kind, ...] = ()
    """By which classes of transformers people load a model that predicts it, the usual first."""

    @property
    def choices_apart(self) -> bool:
        """Whether each choice of a row has a row of states of its own; else their mean is the row's."""
        return self.has_choices and self.has_one_answer


_SCORES, _ANSWERS = "kernels.statistics.scores", "targets.answers"
_ACCURACY = Metric("accuracy", f"{_SCORES}:accuracy")

TARGET_FACTS: Mapping[Target, TargetFacts] = {
    "label": TargetFacts(
        noun="labels",
        metrics=(
            _ACCURACY,
            Metric("macro_f1", f"{_SCORES}:macro_f1"),
            Metric("f1", f"{_SCORES}:f1", of_two_labels=True),
            Metric("matthews", f"{_SCORES}:matthews", scale=(-1, 1)),
        ),
        selected_by="accuracy",
        has_labels=True,
        loaded_as=("texts",),
    ),
    "number": TargetFacts(
        noun="numbers",
        metrics=(
            Metric("pearson", f"{_SCORES}:pearson", scale=(-1, 1), compares="correlations"),
            Metric("spearman", f"{_SCORES}:spearman", scale=(-1, 1), compares="correlations"),
            Metric(
                "pearson_spearman",
                mean_of=("pearson", "spearman"),
                scale=(-1, 1),
                compares="correlations",
            ),
        ),
        selected_by="pearson_spearman",
        loaded_as=("texts",),
    ),
    "choice": TargetFacts(
        noun="choices",
        metrics=(_ACCURACY,),
        selected_by="accuracy",
        has_choices=True,
        loaded_as=("choices", "texts"),
    ),
    "answers": TargetFacts(
        noun="choices with answers",
        metrics=(
            Metric("exact_match", f"{_ANSWERS}:exact_match"),
            Metric("token_f1", f"{_ANSWERS}:token_f1"),
            Metric("exact_match_token_f1", mean_of=("exact_match", "token_f1")),
        ),
        selected_by="exact_match_token_f1",
        has_choices=True,
        has_one_answer=False,
    ),
}

METRICS: Mapping[str, Metric] = {
    metric.name: metric for facts in TARGET_FACTS.values() for metric in facts.metrics
}
"""Every metric by its name."""
LOSS = Metric("loss", scale=(0, math.inf))
"""What is reported beside the metrics of every task type, and is the better the smaller it is."""

if TYPE_CHECKING:
    MetricName = str
    Objective = str
else:
    MetricName = Literal[tuple(METRICS)]
    Objective = Literal[tuple(f"validation/{name}" for name in (*METRICS, LOSS.name))]
"""Names that fields of specs and of experiments take; a type checker sees strings."""


def metrics_of(target: Target) -> tuple[str, ...]:
    """Names of the metrics of a task type."""
    return tuple(metric.name for metric in TARGET_FACTS[target].metrics)


def scale_of(metric: str) -> tuple[float, float]:
    """The least and the largest value of a metric by its name. Raises ValueError for one without a scale."""
    known = {**METRICS, LOSS.name: LOSS}
    if metric not in known:
        raise ValueError(f"{metric!r} is no metric with a scale: those are {', '.join(known)}.")
    return known[metric].scale


def scale_of_differences(metric: str) -> tuple[float, float]:
    """The least and the largest difference of two values of a metric."""
    low, high = scale_of(metric)
    return low - high, high - low
