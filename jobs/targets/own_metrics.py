"""Loads a custom metric: the value `METRIC` of its file, or an attribute of a package."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from layerscope.jobs.specs.targets import TARGET_FACTS, OwnMetric, TaskMetric
from layerscope.jobs.user_code import Source, load_value, naming_lines_of

ATTRIBUTE = "METRIC"


@dataclass(frozen=True)
class LoadedMetric:
    """A custom metric, ready to score predictions."""

    name: str
    path: Path
    declared: TaskMetric

    def value(self, targets: Sequence[Any], predictions: Sequence[Any]) -> float:
        """The metric value of predictions (N).

        Raises:
            ValueError: the function fails, or does not return a number within the declared scale.
        """
        with naming_lines_of(self.path):
            found = self.declared.function(np.asarray(targets), np.asarray(predictions))
        low, high = self.declared.scale
        try:
            value = float(found)
        except (TypeError, ValueError):
            value = math.nan
        if not low <= value <= high:
            raise ValueError(
                f"{self.path}: {self.name} returned {found!r}, not a number from {low:g} to {high:g}: "
                "return one where it is undefined too, or declare another scale"
            )
        return value


def load_metric(selected_by: str | OwnMetric | None, path: Path | None) -> LoadedMetric | None:
    """The custom metric that selects the best weights; None if a built-in one does.

    Args:
        path: The file that defines it.

    Raises:
        ValueError: the file cannot be run, has changed since the plan, or defines no metric.
    """
    if not isinstance(selected_by, OwnMetric):
        return None
    assert path is not None
    return _load(selected_by.name, Source(path, selected_by.entry_point), digest=selected_by.source)


def declared(name: str, path: str, entry_point: str | None) -> dict[str, Any]:
    """What the metric declares, as JSON values; for the planner, which does not run user code itself."""
    metric = _load(name, Source(Path(path), entry_point)).declared
    return {"scale": list(metric.scale), "targets": list(metric.targets)}


def _load(name: str, source: Source, *, digest: str | None = None) -> LoadedMetric:
    found = load_value(source, ATTRIBUTE, digest=digest)
    if not isinstance(found, TaskMetric):
        raise ValueError(
            f"{source.path}: defines no {ATTRIBUTE}: end it with {ATTRIBUTE} = TaskMetric(function, scale), "
            "after `from layerscope import TaskMetric`"
        )
    low, high = found.scale
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(
            f"{source.path}: the scale {found.scale} must be two finite numbers, the smaller first"
        )
    unknown = [target for target in found.targets if target not in TARGET_FACTS or target == "answers"]
    if unknown or not found.targets:
        raise ValueError(f"{source.path}: targets must be label, number or choice, not {', '.join(unknown)}")
    return LoadedMetric(name, source.path, found)
