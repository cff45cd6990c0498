"""What is to be predicted, from the states of one layer: linear heads applied to them and fitted to them.

Of choices, the rows of states are the choices of the first question, of the second, and so on.

Axes: N examples, R rows of states (R = N, or as many for each example as it has choices), D features,
K labels or choices (1 where a number is predicted), H logits of a row (K, or 1 where a choice is scored by
itself).
"""

from collections.abc import Sequence
from typing import assert_never

import numpy as np

from layerscope.jobs.artifacts.layers import Part
from layerscope.jobs.encoders.targets import metrics_of
from layerscope.jobs.numerics.conditional_logit import choice_heads
from layerscope.jobs.numerics.refitted_heads import RefittedHeads, refitted_heads
from layerscope.jobs.numerics.ridge import ridge_heads
from layerscope.jobs.specs.targets import Target

NO_ANSWERS = "heads on layers read one label, number or right choice, not choices of which several are right"


def fit_heads(
    train: Part, target: Target, *, num_labels: int, penalties: Sequence[float], seed: int, device: str
) -> RefittedHeads:
    """A head for each layer.

    Args:
        num_labels: Of choices, how many an example has.

    Raises:
        ValueError: too few examples to choose a penalty on, or several choices may be right.
    """
    targets_N = targets_of(train, target, num_labels)
    match target:
        case "number":
            return ridge_heads(train.layers, targets_N, penalties=penalties)
        case "choice":
            return choice_heads(
                train.layers, targets_N, num_choices=num_labels, penalties=penalties, seed=seed
            )
        case "label":
            return refitted_heads(
                train.layers,
                targets_N,
                penalties=penalties,
                num_classes=num_labels,
                seed=seed,
                device=device,
            )
        case "answers":
            raise ValueError(NO_ANSWERS)
        case never:
            assert_never(never)


def targets_of(part: Part, target: Target, num_labels: int) -> np.ndarray:
    """The label, number or right choice of each example (N,).

    Raises:
        ValueError: several choices of an example may be right.
    """
    if target == "answers":
        raise ValueError(NO_ANSWERS)
    return np.asarray(part.labels)[:: num_labels if target == "choice" else 1]


def layer_scores(
    part: Part, depth: int, head: tuple[np.ndarray, np.ndarray], target: Target, *, num_labels: int
) -> dict[str, float]:
    """Every metric of the target, where a head reads one layer of a part.

    Args:
        head: Weight (H, D) and bias (H,).
    """
    weight_HD, bias_H = head
    return row_scores(part, part.layers[depth] @ weight_HD.T + bias_H, target, num_labels=num_labels)


def row_scores(part: Part, logits_RH: np.ndarray, target: Target, *, num_labels: int) -> dict[str, float]:
    """Every metric of the target, given the logits of the rows of a part."""
    logits_NK = logits_RH.reshape(-1, num_labels) if target == "choice" else logits_RH
    return metrics_of(targets_of(part, target, num_labels), logits_NK, target=target)
