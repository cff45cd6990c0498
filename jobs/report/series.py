"""Curves of a condition: mean and range over its seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from layerscope.jobs.artifacts.curves import read_curves
from layerscope.jobs.artifacts.record import read_metrics
from layerscope.jobs.report.study import VariantResult, shown_name, training_end


@dataclass(frozen=True)
class Band:
    """A curve with its range; the four arrays have one length, NaN without a finite value."""

    steps: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    """The lowest seed."""
    high: np.ndarray
    """The highest seed."""
    is_finished: bool = True
    """False for the curves of variants that are not done."""
    trouble: str = ""
    """`diverged` or `did not learn` if the training of a done variant did."""


def series_by_metric(folder: Path, role: str) -> dict[str, dict[int, float]]:
    """Value by step of each metric, steps ascending; if a step was logged again after a restart, the last."""
    series: dict[str, dict[int, float]] = {}
    for point in read_curves(folder):
        series.setdefault(shown_name(role, point.metric), {})[point.step] = point.value
    return {metric: dict(sorted(values.items())) for metric, values in series.items()}


def bands_by_metric(variants: Sequence[VariantResult], role: str) -> dict[str, Band]:
    """The band of each metric over one condition's seeds: those that are done, or all if none is."""
    done = [variant for variant in variants if variant.state == "done"]
    series = [series_by_metric(v.folders[role], role) for v in done or variants if role in v.folders]
    metrics = dict.fromkeys(metric for one in series for metric in one)
    trouble = _trouble(done) if role == "finetune" else ""
    return {
        metric: band(
            [one[metric] for one in series if metric in one], is_finished=bool(done), trouble=trouble
        )
        for metric in metrics
    }


def _trouble(done: Sequence[VariantResult]) -> str:
    ends = {training_end(read_metrics(variant.folders["finetune"])) for variant in done}
    return next((end for end in ("diverged", "did not learn") if end in ends), "")


def band(series: Sequence[Mapping[int, float]], *, is_finished: bool = True, trouble: str = "") -> Band:
    """Mean, lowest and highest at each step over the series that have it; NaN if one is not finite."""
    steps = sorted({step for one in series for step in one})
    columns = [np.array([one[step] for one in series if step in one]) for step in steps]
    columns = [column if np.isfinite(column).all() else np.array([np.nan]) for column in columns]
    return Band(
        steps=np.array(steps),
        mean=np.array([column.mean() for column in columns]),
        low=np.array([column.min() for column in columns]),
        high=np.array([column.max() for column in columns]),
        is_finished=is_finished,
        trouble=trouble,
    )


def thinned(curve: Band, *, max_points: int = 40) -> Band:
    """The curve downsampled to at most `max_points` points, each the mean of neighbours."""
    if len(curve.steps) <= max_points:
        return curve
    parts = np.array_split(np.arange(len(curve.steps)), max_points)
    steps, mean, low, high = (
        np.array([array[part].mean() for part in parts])
        for array in (curve.steps, curve.mean, curve.low, curve.high)
    )
    return replace(curve, steps=steps, mean=mean, low=low, high=high)


def mean_band(curves: Sequence[Band]) -> Band | None:
    """The mean of finished curves at their common steps; None with fewer than two."""
    finished = [curve for curve in curves if curve.is_finished]
    shared = set.intersection(*(set(curve.steps.tolist()) for curve in finished)) if finished else set()
    if len(shared) < 2:
        return None
    return band(
        [
            {
                step: mean
                for step, mean in zip(curve.steps.tolist(), curve.mean.tolist(), strict=True)
                if step in shared
            }
            for curve in finished
        ]
    )
