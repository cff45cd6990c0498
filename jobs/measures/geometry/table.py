"""Label geometry at the last layer, before and after fine-tuning, one row per condition.

All numbers are means over finished seeds; NaN if there is none.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from layerscope.jobs.kernels.statistics.intervals import Interval
from layerscope.jobs.measures.geometry.specs import GEOMETRY, SHIFT
from layerscope.jobs.report.conditions import condition_label, finished_conditions
from layerscope.jobs.report.last_layer import at_last_layer, last_layer, mean_of
from layerscope.jobs.report.study import Study, VariantResult
from layerscope.jobs.report.subjects import subjects_of
from layerscope.jobs.specs.measure import Measure
from layerscope.jobs.specs.roles import START

FEW_POINTS = 0.5
"""Share of label pairs with too few points from which linear separability is weak evidence."""


@dataclass(frozen=True)
class GeometryRow:
    """A condition, and the labels of its own task ("") or of a probing task."""

    task: str
    condition: str
    subject: str
    layer: int
    """The last layer of the fine-tuned model."""
    num_labels: float
    clusters_before: float
    clusters_after: float
    clusters_permuted: float
    """Clusters for permuted labels after fine-tuning."""
    has_few_points: bool
    """Whether at least half of the label pairs have at most 2 (dimensions + 1) points."""
    test_before: Interval
    """Correlation of label distances between training and test examples, with bootstrap bounds over
    labels."""
    test_after: Interval
    start_pearson: Interval
    """Correlation of label distances before and after fine-tuning."""
    num_rising: float
    """Labels whose distance to the nearest other label grew."""
    num_falling: float
    """Labels whose distance shrank."""
    mean_change: float
    """Mean change of this distance."""


def geometry_rows(study: Study) -> list[GeometryRow]:
    """One row per condition with a finished geometry, in the order of the experiment."""
    return [
        _row(task, condition, subject, done)
        for task, condition, done in finished_conditions(study)
        for subject in subjects_of(done, GEOMETRY)
    ]


def _row(task: str, condition: str, subject: str, done: Sequence[VariantResult]) -> GeometryRow:
    def mean(metric: str, baseline: str = "", *, measure: Measure = GEOMETRY) -> float:
        return mean_of(at_last_layer(done, measure, subject, metric, baseline))

    def interval(metric: str, baseline: str = "", *, measure: Measure = GEOMETRY) -> Interval:
        return Interval(*(mean(f"{metric}{end}", baseline, measure=measure) for end in ("", "_low", "_high")))

    return GeometryRow(
        task=task,
        condition=condition_label(condition),
        subject=subject or task,
        layer=last_layer(done, GEOMETRY, subject) or 0,
        num_labels=mean("labels"),
        clusters_before=mean("clusters", START),
        clusters_after=mean("clusters"),
        clusters_permuted=mean("permuted_clusters"),
        has_few_points=mean("pairs_too_small") >= FEW_POINTS,
        test_before=interval("test_pearson", START),
        test_after=interval("test_pearson"),
        start_pearson=interval("pearson", measure=SHIFT),
        num_rising=mean("rising", measure=SHIFT),
        num_falling=mean("falling", measure=SHIFT),
        mean_change=mean("mean_change", measure=SHIFT),
    )
