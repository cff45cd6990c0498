"""Number formats of the report: counts, scores, bounds; – for missing values."""

import math

from layerscope.jobs.kernels.statistics.intervals import Interval


def count(value: float) -> str:
    """A count, or a mean of counts."""
    if math.isnan(value):
        return "–"
    return f"{value:.0f}" if value == round(value) else f"{value:.1f}"


def score(value: float) -> str:
    """A score, three decimals."""
    return "–" if math.isnan(value) else _with_minus(f"{value:.3f}")


def percent(value: float) -> str:
    """A score or an error in percent, without the percent sign."""
    return "–" if math.isnan(value) else _with_minus(f"{value:.2f}")


def signed_score(value: float) -> str:
    """A difference of scores."""
    return _with_minus(f"{value:+.3f}")


def points(value: float) -> str:
    """A difference in percentage points, or of distances."""
    return _with_minus(f"{value:+.2f}")


def bounds(interval: Interval) -> str:
    """A score with its bounds, if any."""
    mean, low, high = map(score, (interval.mean, interval.low, interval.high))
    return mean if math.isnan(interval.low) else f"{mean} [{low}, {high}]"


def change(interval: Interval, one: str = "seed") -> str:
    """A difference of scores with its bounds; there are none for one seed (or pair) or identical values."""
    if math.isnan(interval.mean):
        return "–"
    mean, low, high = map(signed_score, (interval.mean, interval.low, interval.high))
    return (
        f"{mean} (one {one} or identical values: no interval)"
        if math.isnan(interval.low)
        else f"{mean} [{low}, {high}]"
    )


def p_value(p: float) -> str:
    """A p-value, or "< 0.001"."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def duration(seconds: float) -> str:
    """Seconds as hours, minutes or seconds."""
    if math.isnan(seconds):
        return "–"
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def _with_minus(number: str) -> str:
    return number.replace("-", "−")
