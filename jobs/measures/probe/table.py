"""Probes at the last layer before and after fine-tuning, also for tasks that the model was not fine-tuned on.

All numbers are means over finished seeds; NaN if there is none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from layerscope.jobs.kernels.statistics.intervals import Interval, mean_interval
from layerscope.jobs.measures.geometry.specs import SHIFT
from layerscope.jobs.measures.probe.specs import (
    DESCRIPTION_LENGTH,
    MLP_PROBE,
    MLP_PROBE_CONTROL,
    PROBE,
    PROBE_CONTROL,
)
from layerscope.jobs.report.conditions import condition_label, finished_conditions
from layerscope.jobs.report.last_layer import NAN, at_last_layer, last_layer, mean_of
from layerscope.jobs.report.study import Study, VariantResult
from layerscope.jobs.report.subjects import subjects_of
from layerscope.jobs.specs.measure import Measure
from layerscope.jobs.specs.roles import RANDOM, START

METRIC_BY_MEASURE = {"probe": "accuracy", "mlp_probe": "accuracy", "description_length": "compression"}
WORDS_BY_MEASURE = {
    "probe": "linear probe, accuracy",
    "mlp_probe": "MLP probe, accuracy",
    "description_length": "MDL, compression",
}
CONTROL_BY_PROBE = {"probe": PROBE_CONTROL, "mlp_probe": MLP_PROBE_CONTROL}
OF_NUMBERS = "pearson_spearman"
WORDS_OF_NUMBERS = "linear probe, mean of Pearson and Spearman"
PROBES = (PROBE, MLP_PROBE)
ROWS = (*PROBES, DESCRIPTION_LENGTH)


@dataclass(frozen=True)
class ProbeRow:
    """One kind of probe in one condition, for its own task or a probing task."""

    task: str
    condition: str
    subject: str
    probe: str
    """The probe and its metric, in words."""
    layer: int
    """The last layer of the fine-tuned model."""
    before: float
    after: float
    deviation: float
    """Standard deviation of `after` over initialisations of the probe; NaN for probes without any."""
    change: Interval
    """Mean over the seeds with its 95 % interval; NaN bounds for one seed or identical values."""
    random: float
    """Value for a randomly initialised encoder."""
    selectivity_before: float
    selectivity_after: float


@dataclass(frozen=True)
class CrossCell:
    """Labels of one task after fine-tuning on another, at the last layer."""

    after: float
    """Probe accuracy; for regression, correlation."""
    change: float
    num_rising: float
    """Labels whose distance to the nearest other label grew; NaN without label geometry."""
    num_falling: float
    mean_change: float


@dataclass(frozen=True)
class CrossTable:
    """Conditions as rows and probed tasks as columns."""

    probe: str
    columns: tuple[str, ...]
    cells_by_row: Mapping[tuple[str, str], Mapping[str, CrossCell]]
    """By fine-tuning task and condition, then by column; unmeasured cells are missing."""


def probe_rows(study: Study) -> list[ProbeRow]:
    """One row per finished probe, in the order of the experiment."""
    return [
        _row(task, condition, measure, subject, done)
        for task, condition, done in finished_conditions(study)
        for measure in ROWS
        for subject in subjects_of(done, measure)
    ]


def cross_tables(study: Study) -> list[CrossTable]:
    """One table per kind of probe that was fitted to several tasks."""
    tables = []
    for measure in PROBES:
        cells: dict[tuple[str, str], dict[str, CrossCell]] = {}
        for task, condition, done in finished_conditions(study):
            of_row = {
                subject or task: _cell(measure, subject, done) for subject in subjects_of(done, measure)
            }
            if of_row:
                cells[task, condition_label(condition)] = of_row
        columns = tuple(dict.fromkeys(name for of_row in cells.values() for name in of_row))
        if len(columns) > 1:
            tables.append(CrossTable(WORDS_BY_MEASURE[measure.name], columns, cells))
    return tables


def _row(
    task: str, condition: str, measure: Measure, subject: str, done: Sequence[VariantResult]
) -> ProbeRow:
    metric, control = _metric(measure, subject, done), CONTROL_BY_PROBE.get(measure.name)

    def mean(metric: str, baseline: str = "", *, of: Measure = measure) -> float:
        return mean_of(at_last_layer(done, of, subject, metric, baseline))

    return ProbeRow(
        task=task,
        condition=condition_label(condition),
        subject=subject or task,
        probe=WORDS_OF_NUMBERS if metric == OF_NUMBERS else WORDS_BY_MEASURE[measure.name],
        layer=last_layer(done, measure, subject) or 0,
        before=mean(metric, START),
        after=mean(metric),
        deviation=mean("accuracy_deviation") if measure is MLP_PROBE else NAN,
        change=_change(measure, subject, metric, done),
        random=mean(metric, RANDOM),
        selectivity_before=mean("selectivity", START, of=control) if control else NAN,
        selectivity_after=mean("selectivity", of=control) if control else NAN,
    )


def _metric(measure: Measure, subject: str, done: Sequence[VariantResult]) -> str:
    """The measure's metric; for regression, the correlation."""
    has_numbers = measure is PROBE and at_last_layer(done, measure, subject, OF_NUMBERS)
    return OF_NUMBERS if has_numbers else METRIC_BY_MEASURE[measure.name]


def _change(measure: Measure, subject: str, metric: str, done: Sequence[VariantResult]) -> Interval:
    """After minus before, over seeds with both."""
    changes = [
        after - before
        for variant in done
        for after in at_last_layer([variant], measure, subject, metric)
        for before in at_last_layer([variant], measure, subject, metric, START)
    ]
    if not changes:
        return Interval(NAN, NAN, NAN)
    return mean_interval(changes, scale=measure.curve(metric).scale_of_differences)


def _cell(measure: Measure, subject: str, done: Sequence[VariantResult]) -> CrossCell:
    metric = _metric(measure, subject, done)
    moved = [
        mean_of(at_last_layer(done, SHIFT, subject, name)) for name in ("rising", "falling", "mean_change")
    ]
    after = mean_of(at_last_layer(done, measure, subject, metric))
    return CrossCell(after, _change(measure, subject, metric, done).mean, *moved)
