"""Counts, scores and their bounds as the report writes them; – stands for what there is not."""

import math

from layerscope.jobs.kernels.statistics.intervals import Interval


def count(value: float) -> str:
    """A number of things, or the mean of some."""
    if math.isnan(value):
        return "–"
    return f"{value:.0f}" if value == round(value) else f"{value:.1f}"


def score(value: float) -> str:
    """A score by itself."""
    return "–" if math.isnan(value) else _with_minus(f"{value:.3f}")


def percent(value: float) -> str:
    """A score or an error in percent, without the sign."""
    return "–" if math.isnan(value) else _with_minus(f"{value:.2f}")


def signed_score(value: float) -> str:
    """A difference of scores."""
    return _with_minus(f"{value:+.3f}")


def points(value: float) -> str:
    """A difference in percentage points, or of distances."""
    return _with_minus(f"{value:+.2f}")


def bounds(interval: Interval) -> str:
    """A score with its bounds, where there are some."""
    mean, low, high = map(score, (interval.mean, interval.low, interval.high))
    return mean if math.isnan(interval.low) else f"{mean} [{low}, {high}]"


def change(interval: Interval, one: str = "seed") -> str:
    """A difference of scores with its bounds, which there are none of where it is of one seed, or pair, or
    the same in all of them."""
    if math.isnan(interval.mean):
        return "–"
    mean, low, high = map(signed_score, (interval.mean, interval.low, interval.high))
    return (
        f"{mean} (one {one} or equal ones: no interval)"
        if math.isnan(interval.low)
        else f"{mean} [{low}, {high}]"
    )


def p_value(p: float) -> str:
    """A p-value, the small ones alike."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def duration(seconds: float) -> str:
    """Seconds in the largest unit of which there is one."""
    if math.isnan(seconds):
        return "–"
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def _with_minus(number: str) -> str:
    return number.replace("-", "−")
