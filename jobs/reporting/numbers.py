"""Counts, scores and their bounds as the tables of layers write them; – stands for what there is not."""

import math

from jobs.numerics.intervals import Interval


def count(value: float) -> str:
    """A number of things, or the mean of some."""
    if math.isnan(value):
        return "–"
    return f"{value:.0f}" if value == round(value) else f"{value:.1f}"


def bounds(interval: Interval) -> str:
    """A score with its bounds, where there are some."""
    if math.isnan(interval.mean):
        return "–"
    low, mean, high = (f"{v:.3f}".replace("-", "−") for v in (interval.low, interval.mean, interval.high))
    return mean if math.isnan(interval.low) else f"{mean} [{low}, {high}]"


def change(interval: Interval) -> str:
    """A difference of scores with its bounds over seeds."""
    if math.isnan(interval.mean):
        return "–"
    mean, low, high = map(signed_score, (interval.mean, interval.low, interval.high))
    return f"{mean} (one seed: no interval)" if math.isnan(interval.low) else f"{mean} [{low}, {high}]"


def signed_score(value: float) -> str:
    """A difference of scores."""
    return f"{value:+.3f}".replace("-", "−")
