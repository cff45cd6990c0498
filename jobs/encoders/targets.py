"""Logits against what is to be predicted: the loss, the predictions and the scores of each kind of target.

Axes: N targets, K labels or choices (1 where a number is predicted).
"""

from collections.abc import Sequence

import numpy as np
import torch

from jobs.numerics.majority import beats_constant, beats_majority
from jobs.numerics.scores import (
    accuracy,
    cross_entropy,
    f1,
    macro_f1,
    matthews,
    mean_squared_error,
    pearson,
    spearman,
)
from jobs.specs.targets import Target


def mean_loss(logits_NK: torch.Tensor, targets: Sequence[float], target: Target) -> torch.Tensor:
    """Cross entropy in nats; of numbers the mean squared error."""
    if target == "number":
        numbers_N = torch.tensor(targets, dtype=logits_NK.dtype, device=logits_NK.device)
        return torch.nn.functional.mse_loss(logits_NK.squeeze(1), numbers_N)
    return torch.nn.functional.cross_entropy(logits_NK, torch.tensor(targets, device=logits_NK.device))


def predictions_of(logits_NK: np.ndarray, target: Target) -> list[int] | list[float]:
    """The number of the most likely label or choice; or the predicted number itself."""
    return (logits_NK[:, 0] if target == "number" else logits_NK.argmax(axis=1)).tolist()


def scores_of(
    targets: Sequence[float], logits_NK: np.ndarray, *, prefix: str, target: Target = "label"
) -> dict[str, float]:
    """Every metric of the target and the mean loss, as `<prefix>/accuracy`; F1 only where labels are two."""
    targets_N, predictions_N = np.asarray(targets), np.asarray(predictions_of(logits_NK, target))
    match target:
        case "number":
            found = {
                "pearson": pearson(targets_N, predictions_N),
                "spearman": spearman(targets_N, predictions_N),
            }
            found["pearson_spearman"] = (found["pearson"] + found["spearman"]) / 2
            loss = mean_squared_error(targets_N, predictions_N)
        case "choice":
            found = {"accuracy": accuracy(targets_N, predictions_N)}
            loss = cross_entropy(targets_N, logits_NK)
        case "label":
            found = {
                "accuracy": accuracy(targets_N, predictions_N),
                "macro_f1": macro_f1(targets_N, predictions_N),
                "matthews": matthews(targets_N, predictions_N),
            }
            if logits_NK.shape[1] == 2:
                found["f1"] = f1(targets_N, predictions_N, label=1)
            loss = cross_entropy(targets_N, logits_NK)
    return {f"{prefix}/{name}": value for name, value in (found | {"loss": loss}).items()}


def has_learnt(
    train: Sequence[float], targets: Sequence[float], logits_NK: np.ndarray, target: Target
) -> bool:
    """Whether predictions do better than the one answer that suits the training data best; one-sided, 95 %.

    The best of several evaluations passes a little more easily than a single one.
    """
    targets_N, predictions_N = np.asarray(targets), np.asarray(predictions_of(logits_NK, target))
    if target == "number":
        return beats_constant(targets_N, predictions_N)
    return beats_majority(np.asarray(train), targets_N, int(np.sum(targets_N == predictions_N)))
