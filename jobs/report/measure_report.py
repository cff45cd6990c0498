"""What the report shows of a measure beyond the curves that it declares."""

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
    """By which its layers are scored."""
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
    """Figures and tables of a folder of measures; what it lacks is left out."""

    figures: Callable[[TaskResults], dict[str, Figure]] = lambda results: {}
    """By name, as `<section>/<task>/<figure>`."""
    variant_figures: Callable[[VariantResult], dict[str, Figure]] = lambda variant: {}
    """Of one variant, by name."""
    template: Path | None = None
    """The tables, as a Jinja template."""
    rows: Callable[[Study], Mapping[str, Any]] = lambda study: {}
    """What the template is given, besides `isnan` and the filters of numbers."""
    sections: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Headings and words of sections of figures that are not named after a measure."""
