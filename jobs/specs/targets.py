"""What a task asks of its rows, and by which metrics answers are scored."""

import math
from collections.abc import Mapping
from typing import Literal

Target = Literal["label", "number", "choice", "answers"]
"""One label of several; a number; which of a row's own choices is right; or which of them, so many as it has,
are right."""
Metric = Literal[
    "accuracy",
    "macro_f1",
    "f1",
    "matthews",
    "pearson",
    "spearman",
    "pearson_spearman",
    "exact_match",
    "token_f1",
    "exact_match_token_f1",
]

METRICS: Mapping[Target, tuple[Metric, ...]] = {
    "label": ("accuracy", "macro_f1", "f1", "matthews"),
    "number": ("pearson", "spearman", "pearson_spearman"),
    "choice": ("accuracy",),
    "answers": ("exact_match", "token_f1", "exact_match_token_f1"),
}
"""Of each target; `f1` is of the last of two labels, and a name made of two metrics is the mean of both."""
SCALES: Mapping[Metric | Literal["loss"], tuple[float, float]] = {
    "accuracy": (0, 1),
    "macro_f1": (0, 1),
    "f1": (0, 1),
    "matthews": (-1, 1),
    "pearson": (-1, 1),
    "spearman": (-1, 1),
    "pearson_spearman": (-1, 1),
    "exact_match": (0, 1),
    "token_f1": (0, 1),
    "exact_match_token_f1": (0, 1),
    "loss": (0, math.inf),
}
"""The least and the largest value of each metric, and of the loss that is reported beside them."""
SELECTING: Mapping[Target, Metric] = {
    "label": "accuracy",
    "number": "pearson_spearman",
    "choice": "accuracy",
    "answers": "exact_match_token_f1",
}
"""By which metric on the validation split the best weights of a training are chosen, where its task has no
other one."""


def scale_of(metric: str) -> tuple[float, float]:
    """The least and the largest value of a metric by its name. Raises ValueError for one without a scale."""
    if metric not in SCALES:
        raise ValueError(f"{metric!r} is no metric with a scale: those are {', '.join(SCALES)}.")
    return SCALES[metric]


def scale_of_differences(metric: str) -> tuple[float, float]:
    """The least and the largest difference of two values of a metric."""
    low, high = scale_of(metric)
    return low - high, high - low
