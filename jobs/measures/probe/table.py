"""Probes of the last layer before and after fine-tuning, and of tasks that the model was not tuned on.

All numbers are means over the finished seeds, NaN where there is none.
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
    "mlp_probe": "two hidden layers, accuracy",
    "description_length": "description length, compression",
}
CONTROL_BY_PROBE = {"probe": PROBE_CONTROL, "mlp_probe": MLP_PROBE_CONTROL}
OF_NUMBERS = "pearson_spearman"
WORDS_OF_NUMBERS = "linear probe, mean of Pearson and Spearman"
PROBES = (PROBE, MLP_PROBE)
ROWS = (*PROBES, DESCRIPTION_LENGTH)


@dataclass(frozen=True)
class ProbeRow:
    """One kind of probe of one condition, of its own task or of a probing task."""

    task: str
    condition: str
    subject: str
    probe: str
    """In words, with what is measured."""
    layer: int
    """The last one of the tuned model."""
    before: float
    after: float
    deviation: float
    """Of `after` over the initialisations of the probe; NaN for probes that have none."""
    change: Interval
    """Mean over the seeds with its 95 % interval; NaN bounds for one seed or equal ones."""
    random: float
    """Of an encoder with fresh weights."""
    selectivity_before: float
    selectivity_after: float


@dataclass(frozen=True)
class CrossCell:
    """What became of the labels of one task by fine-tuning on another, in the last layer."""

    after: float
    """Accuracy of the probe; of numbers their correlation."""
    change: float
    num_rising: float
    """Labels whose distance to the nearest other one grew; NaN where no geometry was measured."""
    num_falling: float
    mean_change: float


@dataclass(frozen=True)
class CrossTable:
    """Conditions as rows and probed tasks as columns."""

    probe: str
    columns: tuple[str, ...]
    cells_by_row: Mapping[tuple[str, str], Mapping[str, CrossCell]]
    """By task tuned on and condition, and by column; cells that were not measured are not there."""


def probe_rows(study: Study) -> list[ProbeRow]:
    """A row for each finished probe, in the order of the experiment."""
    return [
        _row(task, condition, measure, subject, done)
        for task, condition, done in finished_conditions(study)
        for measure in ROWS
        for subject in subjects_of(done, measure)
    ]


def cross_tables(study: Study) -> list[CrossTable]:
    """A table for each kind of probe that was fitted to the labels of several tasks."""
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
    """That of the measure; of predicted numbers, which are neither right nor wrong, their correlation."""
    has_numbers = measure is PROBE and at_last_layer(done, measure, subject, OF_NUMBERS)
    return OF_NUMBERS if has_numbers else METRIC_BY_MEASURE[measure.name]


def _change(measure: Measure, subject: str, metric: str, done: Sequence[VariantResult]) -> Interval:
    """After less before, of the seeds that have both."""
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
