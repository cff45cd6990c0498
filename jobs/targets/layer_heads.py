"""Linear heads on the states of one layer: fitting and scoring them.

For choices, the rows of states are the choices of the first question, then of the second, and so on.

Axes: N examples, R rows of states (R = N, or N times the number of choices), D features, H logits of a row
(one per label, or 1 for a number or the score of a choice).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from layerscope.jobs.kernels.probes.refitted_heads import RefittedHeads
from layerscope.jobs.specs.targets import Target
from layerscope.jobs.targets.all import TARGETS

if TYPE_CHECKING:
    from layerscope.jobs.artifacts.layers import Part

NO_ANSWERS = "heads on layers read one label, number or right choice, not choices of which several are right"


def fit_heads(
    train: "Part", target: Target, *, num_labels: int, penalties: Sequence[float], seed: int, device: str
) -> RefittedHeads:
    """Fit a head for each layer.

    Args:
        num_labels: Number of labels, or of choices of an example.

    Raises:
        ValueError: too few examples to choose a penalty, or several choices may be right.
    """
    targets_N, fit = targets_of(train, target, num_labels), TARGETS[target].fit_heads
    assert fit is not None, "one label, number or choice has heads"
    return fit(train.layers, targets_N, num_labels=num_labels, penalties=penalties, seed=seed, device=device)


def targets_of(part: "Part", target: Target, num_labels: int) -> np.ndarray:
    """The label, number or right choice of each example (N,).

    Raises:
        ValueError: several choices of an example may be right.
    """
    task = TARGETS[target]
    if task.fit_heads is None:
        raise ValueError(NO_ANSWERS)
    return np.asarray(part.labels)[:: task.rows_per_example(num_labels)]


def layer_scores(
    part: "Part", depth: int, head: tuple[np.ndarray, np.ndarray], target: Target, *, num_labels: int
) -> dict[str, float]:
    """Every metric of the target for a head on one layer of a part.

    Args:
        head: Weight (H, D) and bias (H,).
    """
    weight_HD, bias_H = head
    return row_scores(part, part.layers[depth] @ weight_HD.T + bias_H, target, num_labels=num_labels)


def row_scores(part: "Part", logits_RH: np.ndarray, target: Target, *, num_labels: int) -> dict[str, float]:
    """Every metric of the target, from the logits of the rows of a part."""
    task = TARGETS[target]
    num_rows = task.rows_per_example(num_labels)
    logits_NK = logits_RH if num_rows == 1 else logits_RH.reshape(-1, num_rows)
    return task.metrics(targets_of(part, target, num_labels), logits_NK)
