"""Classification: one of several labels, of a text or of a labelled span."""

from collections.abc import Sequence

import numpy as np
import torch

from layerscope.jobs.kernels.probes.refitted_heads import RefittedHeads, refitted_heads
from layerscope.jobs.kernels.statistics.majority import beats_majority
from layerscope.jobs.kernels.statistics.scores import cross_entropy
from layerscope.jobs.targets.task_type import Export, HeadShape, TaskType


def mean_cross_entropy(logits_NK: torch.Tensor, labels: Sequence[int]) -> torch.Tensor:
    """Mean cross-entropy in nats, with a gradient."""
    return torch.nn.functional.cross_entropy(logits_NK, torch.tensor(labels, device=logits_NK.device))


def reported_cross_entropy(labels: Sequence[int], logits_NK: np.ndarray) -> float:
    """Mean cross-entropy in nats, in float64."""
    return cross_entropy(np.asarray(labels), logits_NK)


def beats_most_frequent(train: Sequence[int], labels: Sequence[int], logits_NK: np.ndarray) -> bool:
    """Whether predictions significantly beat the training data's most frequent label or choice position."""
    labels_N = np.asarray(labels)
    return beats_majority(np.asarray(train), labels_N, int(np.sum(labels_N == logits_NK.argmax(axis=1))))


def _fit_heads(
    layers: Sequence[np.ndarray],
    targets_N: np.ndarray,
    *,
    num_labels: int,
    penalties: Sequence[float],
    seed: int,
    device: str,
) -> RefittedHeads:
    """Multinomial logistic regression."""
    return refitted_heads(
        layers, targets_N, penalties=penalties, num_classes=num_labels, seed=seed, device=device
    )


LABEL = TaskType(
    name="label",
    head=lambda num_labels: HeadShape(num_labels),
    mean_loss=mean_cross_entropy,
    reported_loss=reported_cross_entropy,
    has_learnt=beats_most_frequent,
    fit_heads=_fit_heads,
    export=Export(
        title="A classifier of texts",
        pipeline=lambda given, pair, cut: (
            f'labels = [answer["label"] for answer in classify({given}, {cut})]\n'
        ),
        answer="labels = [model.config.id2label[number] for number in logits.argmax(-1).tolist()]",
        in_words=lambda labels: f"Labels: {', '.join(labels)}.",
    ),
)
