"""Regression: a number."""

from collections.abc import Sequence

import numpy as np
import torch

from layerscope.jobs.kernels.probes.refitted_heads import RefittedHeads
from layerscope.jobs.kernels.probes.ridge import ridge_heads
from layerscope.jobs.kernels.statistics.majority import beats_constant
from layerscope.jobs.kernels.statistics.scores import mean_squared_error
from layerscope.jobs.targets.task_type import Export, HeadShape, TaskType


def _mean_loss(logits_N1: torch.Tensor, numbers: Sequence[float]) -> torch.Tensor:
    """Mean squared error."""
    numbers_N = torch.tensor(numbers, dtype=logits_N1.dtype, device=logits_N1.device)
    return torch.nn.functional.mse_loss(logits_N1.squeeze(1), numbers_N)


def _fit_heads(
    layers: Sequence[np.ndarray], targets_N: np.ndarray, *, penalties: Sequence[float], **_: object
) -> RefittedHeads:
    """Ridge regression, which needs no seed."""
    return ridge_heads(layers, targets_N, penalties=penalties)


NUMBER = TaskType(
    name="number",
    head=lambda num_labels: HeadShape(1),
    mean_loss=_mean_loss,
    reported_loss=lambda numbers, logits_N1: mean_squared_error(np.asarray(numbers), logits_N1[:, 0]),
    has_learnt=lambda train, numbers, logits_N1: beats_constant(np.asarray(numbers), logits_N1[:, 0]),
    predict=lambda logits_N1: logits_N1[:, 0],
    first_bias=lambda train: float(np.mean(train)),
    fit_heads=_fit_heads,
    export=Export(
        title="A model that predicts a number",
        pipeline=lambda given, pair, cut: (
            f'numbers = [answer["score"] for answer in classify({given}, {cut})]\n'
        ),
        answer="numbers = logits[:, 0].tolist()",
        in_words=lambda labels: "Its one logit is the number.",
    ),
)
