"""Cohen's kappa (Cohen 1960): agreement of labels and predictions beyond what chance would give."""

import numpy as np

from layerscope import TaskMetric


def kappa(labels_N: np.ndarray, predictions_N: np.ndarray) -> float:
    """1 where all agree, 0 at chance, and 0 where labels and predictions are one and the same label."""
    names = np.union1d(labels_N, predictions_N)
    by_chance = sum((labels_N == name).mean() * (predictions_N == name).mean() for name in names)
    agreement = (labels_N == predictions_N).mean()
    return (agreement - by_chance) / (1 - by_chance) if by_chance < 1 else 0.0


METRIC = TaskMetric(kappa, scale=(-1, 1))
