"""Multiple-answer tasks: each of a row's own choices, of any number, is classified as right or wrong.

Axes: N rows, K the largest number of choices of a row; logits of missing choices are minus infinity.
"""

from collections.abc import Sequence

import numpy as np
import torch

from layerscope.jobs.artifacts.tokenised import Answers
from layerscope.jobs.kernels.statistics.majority import beats_chance
from layerscope.jobs.targets.task_type import HeadShape, TaskType


def exact_match(answers: Sequence[Answers], chosen: Sequence[int]) -> float:
    """Share of rows whose chosen position is right."""
    return float(np.mean(_are_right(answers, chosen)))


def token_f1(answers: Sequence[Answers], chosen: Sequence[int]) -> float:
    """Mean over rows of the token F1 of the chosen position."""
    return float(np.mean([of.token_f1[place] for of, place in zip(answers, chosen, strict=True)]))


def _mean_loss(logits_NK: torch.Tensor, answers: Sequence[Answers]) -> torch.Tensor:
    """Binary cross-entropy in nats, averaged over a row's choices and then over rows.

    ReCoRD uses binary cross-entropy in SuperGLUE's baselines (Wang et al. 2019, section 4: "the probability
    of each candidate independent of other candidates") and in jiant, where each choice has the same weight,
    so that rows with many choices weigh more.
    """
    is_there_NK = ~torch.isneginf(logits_NK)
    is_right_NK = torch.zeros_like(logits_NK)
    for row, of in enumerate(answers):
        is_right_NK[row, list(of.right)] = 1
    losses_NK = torch.nn.functional.binary_cross_entropy_with_logits(
        logits_NK.masked_fill(~is_there_NK, 0), is_right_NK, reduction="none"
    )
    return ((losses_NK * is_there_NK).sum(dim=1) / is_there_NK.sum(dim=1)).mean()


def _has_learnt(train: Sequence[Answers], answers: Sequence[Answers], logits_NK: np.ndarray) -> bool:
    shares_N = np.array([len(of.right) / len(of.token_f1) for of in answers])
    return beats_chance(shares_N, int(np.sum(_are_right(answers, logits_NK.argmax(axis=1)))))


def _are_right(answers: Sequence[Answers], chosen: Sequence[int]) -> list[bool]:
    return [place in of.right for of, place in zip(answers, chosen, strict=True)]


ANSWERS = TaskType(
    name="answers",
    head=lambda num_labels: HeadShape(1, num_choices=num_labels, judges_choices=True),
    mean_loss=_mean_loss,
    reported_loss=lambda answers, logits_NK: _mean_loss(torch.as_tensor(logits_NK), answers).item(),
    has_learnt=_has_learnt,
    written=lambda answers: [list(of.right) for of in answers],
)
