"""Logits against what is to be predicted: the loss, the predictions and the scores of each kind of target.

Axes: N targets, K labels or choices (1 where a number is predicted). Where rows have differently many
choices, the logits of those that a row lacks are minus infinity.
"""

from collections.abc import Sequence
from typing import Any, assert_never

import numpy as np
import torch

from layerscope.jobs.artifacts.tokenised import Answers
from layerscope.jobs.numerics.majority import beats_chance, beats_constant, beats_majority
from layerscope.jobs.numerics.scores import (
    accuracy,
    cross_entropy,
    f1,
    macro_f1,
    matthews,
    mean_squared_error,
    pearson,
    spearman,
)
from layerscope.jobs.specs.targets import Target


def mean_loss(logits_NK: torch.Tensor, targets: Sequence[Any], target: Target) -> torch.Tensor:
    """Cross entropy in nats; of numbers the mean squared error.

    Where several choices may be right, each is judged by itself: binary cross entropy, the mean over a row's
    choices, and then over rows. So are ReCoRD's in SuperGLUE's baselines (Wang et al. 2019, section 4: "the
    probability of each candidate independent of other candidates") and in jiant, where each choice weighs the
    same, and so a row with many of them more.
    """
    if target == "answers":
        return _loss_of_answers(logits_NK, targets)
    if target == "number":
        numbers_N = torch.tensor(targets, dtype=logits_NK.dtype, device=logits_NK.device)
        return torch.nn.functional.mse_loss(logits_NK.squeeze(1), numbers_N)
    return torch.nn.functional.cross_entropy(logits_NK, torch.tensor(targets, device=logits_NK.device))


def predictions_of(logits_NK: np.ndarray, target: Target) -> list[int] | list[float]:
    """The number of the most likely label or choice; or the predicted number itself."""
    return (logits_NK[:, 0] if target == "number" else logits_NK.argmax(axis=1)).tolist()


def written_targets(targets: Sequence[Any], target: Target) -> list[Any]:
    """As JSON has them beside predictions: of answers the places of all choices that are right."""
    return [list(answers.right) for answers in targets] if target == "answers" else list(targets)


def scores_of(
    targets: Sequence[Any], logits_NK: np.ndarray, *, prefix: str, target: Target = "label"
) -> dict[str, float]:
    """Every metric of the target and the mean loss, as `<prefix>/accuracy`."""
    found = metrics_of(targets, logits_NK, target=target) | {"loss": _loss_of(targets, logits_NK, target)}
    return {f"{prefix}/{name}": value for name, value in found.items()}


def metrics_of(targets: Sequence[Any], logits_NK: np.ndarray, *, target: Target) -> dict[str, float]:
    """Every metric of the target by name; F1 only where labels are two."""
    if target == "answers":
        return _metrics_of_answers(targets, logits_NK)
    targets_N, predictions_N = np.asarray(targets), np.asarray(predictions_of(logits_NK, target))
    match target:
        case "number":
            found = {
                "pearson": pearson(targets_N, predictions_N),
                "spearman": spearman(targets_N, predictions_N),
            }
            return found | {"pearson_spearman": (found["pearson"] + found["spearman"]) / 2}
        case "choice":
            return {"accuracy": accuracy(targets_N, predictions_N)}
        case "label":
            found = {
                "accuracy": accuracy(targets_N, predictions_N),
                "macro_f1": macro_f1(targets_N, predictions_N),
                "matthews": matthews(targets_N, predictions_N),
            }
            if logits_NK.shape[1] == 2:
                found["f1"] = f1(targets_N, predictions_N, label=1)
            return found
        case never:
            assert_never(never)


def has_learnt(train: Sequence[Any], targets: Sequence[Any], logits_NK: np.ndarray, target: Target) -> bool:
    """Whether predictions do better than the one answer that suits the training data best, or than drawing a
    choice where rows have differently many; one-sided, 95 %.

    The best of several evaluations passes a little more easily than a single one.
    """
    if target == "answers":
        shares_N = np.array([len(answers.right) / len(answers.token_f1) for answers in targets])
        return beats_chance(shares_N, int(np.sum(_are_right(targets, logits_NK))))
    targets_N, predictions_N = np.asarray(targets), np.asarray(predictions_of(logits_NK, target))
    if target == "number":
        return beats_constant(targets_N, predictions_N)
    return beats_majority(np.asarray(train), targets_N, int(np.sum(targets_N == predictions_N)))


def _loss_of_answers(logits_NK: torch.Tensor, targets: Sequence[Answers]) -> torch.Tensor:
    is_there_NK = ~torch.isneginf(logits_NK)
    is_right_NK = torch.zeros_like(logits_NK)
    for row, answers in enumerate(targets):
        is_right_NK[row, list(answers.right)] = 1
    losses_NK = torch.nn.functional.binary_cross_entropy_with_logits(
        logits_NK.masked_fill(~is_there_NK, 0), is_right_NK, reduction="none"
    )
    return ((losses_NK * is_there_NK).sum(dim=1) / is_there_NK.sum(dim=1)).mean()


def _loss_of(targets: Sequence[Any], logits_NK: np.ndarray, target: Target) -> float:
    match target:
        case "number":
            return mean_squared_error(np.asarray(targets), logits_NK[:, 0])
        case "label" | "choice":
            return cross_entropy(np.asarray(targets), logits_NK)
        case "answers":
            return mean_loss(torch.as_tensor(logits_NK), targets, "answers").item()
        case never:
            assert_never(never)


def _metrics_of_answers(targets: Sequence[Answers], logits_NK: np.ndarray) -> dict[str, float]:
    chosen = predictions_of(logits_NK, "answers")
    exact_match = float(np.mean(_are_right(targets, logits_NK)))
    token_f1 = float(np.mean([of.token_f1[place] for of, place in zip(targets, chosen, strict=True)]))
    return {
        "exact_match": exact_match,
        "token_f1": token_f1,
        "exact_match_token_f1": (exact_match + token_f1) / 2,
    }


def _are_right(targets: Sequence[Answers], logits_NK: np.ndarray) -> list[bool]:
    chosen = predictions_of(logits_NK, "answers")
    return [place in answers.right for answers, place in zip(targets, chosen, strict=True)]
