"""Figures and tables of a measure in the report, beyond its declared curves."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from layerscope.jobs.report.comparing import Conditions
from layerscope.jobs.report.study import Study, VariantResult


@dataclass(frozen=True)
class TaskResults:
    """The conditions of one task."""

    task: str
    metric: str
    """The metric by which its layers are scored."""
    conditions: Conditions
    """In the order of the experiment."""
    best_first: Conditions
    """In the order of the ranking."""

    @property
    def best(self) -> str:
        """The condition that ranks first."""
        return next(iter(self.best_first))


@dataclass(frozen=True)
class MeasureReport:
    """Figures and tables of a folder of measures; all optional."""

    figures: Callable[[TaskResults], dict[str, Figure]] = lambda results: {}
    """By name, as `<section>/<task>/<figure>`."""
    variant_figures: Callable[[VariantResult], dict[str, Figure]] = lambda variant: {}
    """Figures of one variant, by name."""
    template: Path | None = None
    """The tables, as a Jinja template."""
    rows: Callable[[Study], Mapping[str, Any]] = lambda study: {}
    """Variables of the template, besides `isnan` and the number filters."""
    sections: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Heading and description of figure sections that are not named after a measure."""
