"""Task types and metrics as declared values: what is known of them without arrays.

What each task type computes of its logits is in `jobs.targets`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from layerscope.jobs.specs.spec import Strict

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
    compares: Literal["right answers", "correlations", "nothing"] = "right answers"
    """By what of the same examples two models are tested against each other."""
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
OwnMetricSource = Annotated[str, Field(pattern=r"^(.*\.py|\w+(\.\w+)*:\w+)$")]
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
        raise ValueError(f"{name!r} is no metric with a scale: those are {', '.join(known)}.")
    return known[name]
