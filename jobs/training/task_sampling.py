"""Sampling of the task of each step in a multi-task training."""

from collections.abc import Sequence
from typing import assert_never

import numpy as np

from layerscope.jobs.kernels.arrays import Floats
from layerscope.jobs.specs.multitask import Sampling


def task_probabilities(sizes: Sequence[int], sampling: Sampling) -> np.ndarray:
    """Sampling probability of each task (K,), from the numbers of training texts."""
    size_K = np.asarray(sizes, dtype=np.float64)
    match sampling:
        case "proportional":
            weight_K: Floats = size_K
        case "square-root":
            weight_K = np.sqrt(size_K)
        case "uniform":
            weight_K = np.ones_like(size_K)
        case never:
            assert_never(never)
    probability_K: Floats = weight_K / weight_K.sum()
    return probability_K


def task_order(sizes: Sequence[int], *, sampling: Sampling, num_steps: int, seed: int) -> list[int]:
    """Index of the task of each step, sampled independently; the same on every process.

    Uses the raw output of PCG64, which NumPy keeps the same on every platform and in every version.
    """
    uniform_S = np.random.PCG64(seed).random_raw(num_steps) / 2.0**64
    border_K = np.cumsum(task_probabilities(sizes, sampling))
    position_S = np.minimum(np.searchsorted(border_K, uniform_S, side="right"), len(sizes) - 1)
    positions: list[int] = position_S.tolist()
    return positions
