"""What a task asks of its rows, and by which metrics answers are scored."""

from collections.abc import Mapping
from typing import Literal

Target = Literal["label", "number", "choice"]
"""One label of several; a number; or which of a row's own choices is right."""
Metric = Literal["accuracy", "macro_f1", "f1", "matthews", "pearson", "spearman", "pearson_spearman"]

METRICS: Mapping[Target, tuple[Metric, ...]] = {
    "label": ("accuracy", "macro_f1", "f1", "matthews"),
    "number": ("pearson", "spearman", "pearson_spearman"),
    "choice": ("accuracy",),
}
"""Of each target; `f1` is of the last of two labels, `pearson_spearman` the mean of both."""
SELECTING: Mapping[Target, Metric] = {
    "label": "accuracy",
    "number": "pearson_spearman",
    "choice": "accuracy",
}
"""By which metric on the validation split the best weights of a training are chosen, where its task has no
other one."""
