"""Confidence intervals of a mean over seeds and of a proportion of examples."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Interval:
    """An estimate and its confidence bounds, in the units of the values."""

    mean: float
    low: float
    """NaN where the data cannot tell."""
    high: float


def mean_interval(values: Sequence[float] | np.ndarray, *, level: float = 0.95) -> Interval:
    """Student's t interval of the mean of independent values, as the scores of several seeds.

    One value has a mean and NaN bounds. Raises ValueError for none, and for values that are not finite: what
    a failed seed means is for the caller to decide.
    """
    _check_level(level)
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"a mean needs a list of one or more values, got an array of shape {values.shape}.")
    if not np.isfinite(values).all():
        raise ValueError(f"a mean needs finite values, got {values.tolist()}.")
    mean = float(values.mean())
    if len(values) == 1:
        return Interval(mean, float("nan"), float("nan"))
    half = float(stats.t.ppf((1 + level) / 2, df=len(values) - 1) * stats.sem(values))
    return Interval(mean, mean - half, mean + half)


def proportion_interval(num_correct: int, num_total: int, *, level: float = 0.95) -> Interval:
    """Wilson's interval of a proportion (Wilson 1927), which stays within 0..1 and is sound near its ends."""
    _check_level(level)
    if not 0 <= num_correct <= num_total or not num_total:
        raise ValueError(
            f"a proportion needs 0 <= num_correct <= num_total > 0, got {num_correct} of {num_total}."
        )
    bounds = stats.binomtest(num_correct, num_total).proportion_ci(level, method="wilson")
    return Interval(num_correct / num_total, float(bounds.low), float(bounds.high))


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies between 0 and 1, as 0.95; got {level}.")
