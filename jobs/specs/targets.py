"""What a task asks of its rows, and by which metrics answers are scored."""

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
SELECTING: Mapping[Target, Metric] = {
    "label": "accuracy",
    "number": "pearson_spearman",
    "choice": "accuracy",
    "answers": "exact_match_token_f1",
}
"""By which metric on the validation split the best weights of a training are chosen, where its task has no
other one."""
