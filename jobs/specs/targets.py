"""Declarations of task types and metrics, without arrays.

The computations of each task type are in `jobs.targets`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from layerscope.jobs.specs.spec import Strict

Target = Literal["label", "number", "choice", "answers"]
"""A class; a number; the correct one of a row's choices; or all correct ones of a varying number of
choices."""
Predict = Literal["label", "number"]
"""The type of a label, for rows without choices."""
Kind = Literal["texts", "choices", "tokens"]
"""What a class of transformers classifies."""


@dataclass(frozen=True)
class Metric:
    """A score of predictions against targets."""

    name: str
    function: str = ""
    """`module:function` in `jobs`, from targets and predictions (N) to a number; None if the metric is a mean
    of others."""
    mean_of: tuple[str, ...] = ()
    """The metrics that it is the mean of, declared before it."""
    scale: tuple[float, float] = (0, 1)
    """The least and the largest value."""
    of_two_labels: bool = False
    """Whether it is defined for two labels only, for the last one."""
    compares: Literal["right answers", "correlations", "nothing"] = "right answers"
    """What a paired test of two models compares."""
    on_layers: str = ""
    """The metric by which layers are scored, where they are not by this one."""

    @property
    def scale_of_differences(self) -> tuple[float, float]:
        """The least and the largest difference of two values."""
        low, high = self.scale
        return low - high, high - low


@dataclass(frozen=True)
class TaskMetric:
    """A metric of the user's own, which a file defines as `METRIC`; higher is better."""

    function: Callable[[Any, Any], float]
    """From what is true and what is predicted (N each) to a number within the scale. Labels are integers in
    the order of their names; choices are places among those of their row; numbers are floats."""
    scale: tuple[float, float] = (0.0, 1.0)
    """The least and the largest value."""
    targets: tuple[Target, ...] = ("label",)
    """The task types that it is of."""


class OwnMetric(Strict):
    """A metric of the user's own by which a training is scored, and its best weights chosen."""

    name: str
    source: str
    """sha256 of the file that defines it."""
    entry_point: str | None = None
    """`module:attribute` of an installed package; none where the file is named."""


@dataclass(frozen=True)
class TargetFacts:
    """Declared properties of a task type."""

    noun: str
    """Name of the targets in messages."""
    metrics: tuple[Metric, ...]
    selected_by: str
    """The validation metric that selects the best weights, unless the task has another one."""
    has_labels: bool = False
    """Whether the target is a class: sampling is stratified by it, MLP probes and geometry use it, labelled
    spans and probing tasks have it."""
    has_choices: bool = False
    """Whether the windows of a row are its choices."""
    has_one_answer: bool = True
    """Whether each row has one correct answer: linear heads are fitted to layers, and models exported."""
    loaded_as: tuple[Kind, ...] = ()
    """The transformers classes for such models, the most common first."""

    @property
    def choices_apart(self) -> bool:
        """Whether each choice has its own row of states; else the row's states are the mean."""
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
"""Reported with the metrics of every task type; lower is better."""

if TYPE_CHECKING:
    MetricName = str
    Objective = str
else:
    MetricName = Literal[tuple(METRICS)]
    Objective = Literal[tuple(f"validation/{name}" for name in (*METRICS, LOSS.name))]
"""Types of fields in specs and experiments; type checkers see strings."""
OWN_METRIC = r"^(.*\.py|\w+(\.\w+)*:\w+)$"
OwnMetricSource = Annotated[str, Field(pattern=OWN_METRIC)]
"""A Python file that defines `METRIC`, as ./kappa.py, or `module:attribute` of an installed package."""


def is_own(metric: str) -> bool:
    """Whether a task's metric is one of the user's own."""
    return metric not in METRICS


def metric_name(written: str) -> str:
    """The name of a task's metric: of one of the user's own, that of its file, or attribute in lower case."""
    if not is_own(written):
        return written
    if written.endswith(".py"):
        return written.replace("\\", "/").rpartition("/")[2].removesuffix(".py")
    return written.rpartition(":")[2].lower()


def selecting_name(selected_by: "str | OwnMetric | None", target: Target) -> str:
    """The name of the metric on the validation split by which the best weights are chosen."""
    if selected_by is None:
        return TARGET_FACTS[target].selected_by
    return selected_by if isinstance(selected_by, str) else selected_by.name


def metrics_of(target: Target) -> tuple[str, ...]:
    """Names of the metrics of a task type."""
    return tuple(metric.name for metric in TARGET_FACTS[target].metrics)


def metric_named(name: str) -> Metric:
    """A built-in metric, or the loss, by its name. Raises ValueError for another name."""
    known = {**METRICS, LOSS.name: LOSS}
    if name not in known:
        raise ValueError(f"{name!r} is not a metric with a scale: use {', '.join(known)}.")
    return known[name]
