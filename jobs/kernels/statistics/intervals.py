"""Confidence interval of a mean over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, stdtrit

Scale = tuple[float, float]
"""Minimum and maximum possible value; infinite without bounds."""
_UNBOUNDED: Scale = (-np.inf, np.inf)
_ROUNDING = 1e-9
"""A value may exceed its scale by this much, and is then clipped."""
_EQUAL = 1e-12
"""Values count as equal if they differ by at most this share of their scale: differences of equal scores are
not always equal in float64."""


@dataclass(frozen=True)
class Interval:
    """An estimate and its confidence bounds, in the units of the values."""

    mean: float
    low: float
    """NaN if the data do not determine it."""
    high: float


def mean_interval(
    values: Sequence[float] | np.ndarray, *, scale: Scale = _UNBOUNDED, level: float = 0.95
) -> Interval:
    """Student's t interval of the mean of independent values (such as scores of several seeds), inside the
    scale.

    It is symmetric about the mean on the logit of the scale, or on the logarithm of the distance to its only
    end; the standard error there is that of the mean times the slope (delta method). So it is nearly
    Student's interval if the spread is small against the distance to the ends. Near an end scores are skewed
    and Student's interval covers their mean too rarely: this one is wider towards the other end.

    One value, or identical values, have NaN bounds: they do not determine the variance.
    Raises ValueError for no values, for values that are not finite (the caller decides what a failed seed
    means), and for values outside the scale.
    """
    _check_level(level)
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"a mean needs a list of one or more values, got an array of shape {values.shape}.")
    if not np.isfinite(values).all():
        raise ValueError(f"a mean needs finite values, got {values.tolist()}.")
    values = _inside(values, scale)
    mean = float(values.mean())
    if np.ptp(values) <= _EQUAL * _size(values, scale):
        return Interval(mean, float("nan"), float("nan"))
    error = values.std(ddof=1) / np.sqrt(len(values))
    half = float(stdtrit(len(values) - 1, (1 + level) / 2) * error)
    return Interval(mean, *_bounds(mean, half, scale))


def _inside(values: np.ndarray, scale: Scale) -> np.ndarray:
    low, high = scale
    if values.min() < low - _ROUNDING or values.max() > high + _ROUNDING:
        raise ValueError(f"values must lie in {low:g} to {high:g}, got {values.tolist()}.")
    return values.clip(low, high)


def _size(values: np.ndarray, scale: Scale) -> float:
    """The width of the scale, or the largest distance of a value from its end, or from zero."""
    low, high = scale
    if np.isfinite(high - low):
        return high - low
    end = low if np.isfinite(low) else high if np.isfinite(high) else 0.0
    return float(np.abs(values - end).max())


def _bounds(mean: float, half: float, scale: Scale) -> tuple[float, float]:
    """Bounds `half` below and above a mean strictly inside the scale, on the transformed axis."""
    low, high = scale
    # If the spread is very large against the distance to an end, the bound overflows to that end or infinity.
    with np.errstate(over="ignore"):
        if np.isfinite(low) and np.isfinite(high):
            share = (mean - low) / (high - low)
            steps = np.array([-half, half]) / (high - low) / (share * (1 - share))
            ends = low + (high - low) * expit(logit(share) + steps)
        elif np.isfinite(low):
            ends = low + (mean - low) * np.exp(np.array([-half, half]) / (mean - low))
        elif np.isfinite(high):
            ends = high - (high - mean) * np.exp(np.array([half, -half]) / (high - mean))
        else:
            ends = np.array([mean - half, mean + half])
    # Rounding of a narrow interval may exclude its mean.
    return float(min(ends[0], mean)), float(max(ends[1], mean))


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"a confidence level must be between 0 and 1, as 0.95; got {level}.")
