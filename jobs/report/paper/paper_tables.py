"""A paper's tables compared with a study's own runs, cell by cell, in % of test error."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from layerscope.jobs.artifacts.record import read_metrics
from layerscope.jobs.kernels.statistics.intervals import Interval, mean_interval
from layerscope.jobs.report.conditions import condition_label, conditions_by_task
from layerscope.jobs.report.paper.paper_recipes import StudyReference
from layerscope.jobs.report.study import Study, VariantResult
from layerscope.jobs.specs.references import TEST_ERROR, Row, Table

ACCURACY = "test/accuracy"
PRETRAINING = "pretraining"


@dataclass(frozen=True)
class Beside:
    """One cell of the paper and our condition with the same recipe."""

    row: str
    condition: str
    paper: float
    ours: Interval
    """Mean over the seeds with its 95 % interval; NaN bounds for one seed or identical scores."""
    num_seeds: int

    @property
    def difference(self) -> float:
        """Ours minus the paper's."""
        return self.ours.mean - self.paper

    @property
    def is_inside(self) -> bool | None:
        """Whether the paper's value lies in our interval; None without an interval."""
        return None if math.isnan(self.ours.low) else self.ours.low <= self.paper <= self.ours.high


@dataclass(frozen=True)
class Reduction:
    """Relative reduction of the error by a continued pretraining against none, averaged over tasks."""

    row: str
    tasks: tuple[str, ...]
    """Tasks that were run with both; the paper's average is over the same tasks."""
    paper: float
    """In %."""
    ours: float


@dataclass(frozen=True)
class BesideTask:
    """A column of a table."""

    task: str
    paper_task: str
    cells: tuple[Beside, ...]
    not_run: tuple[str, ...]
    """Rows without a finished run of ours, each with the paper's value."""
    elsewhere: tuple[str, ...]
    """Rows that no recipe of ours can reproduce, each with the paper's value."""


@dataclass(frozen=True)
class BesideTable:
    """A table of the paper."""

    table: Table
    tasks: tuple[BesideTask, ...]
    without_task: tuple[str, ...]
    """The paper's columns without a task of ours."""
    reductions: tuple[Reduction, ...] = ()

    @property
    def is_of_test_errors(self) -> bool:
        """Whether our scores are comparable."""
        return self.table.measure == TEST_ERROR


def beside_tables(study: Study) -> list[BesideTable]:
    """The tables of the study's paper; none without a paper."""
    reference = study.reference
    if reference is None:
        return []
    return [_beside(study, reference, table) for table in reference.paper.tables]


def smaller_setting(study: Study) -> str:
    """One sentence on how our setting differs from the paper's; empty if it does not, or is unknown."""
    reference = study.reference
    if reference is None or reference.paper.setting is None:
        return ""
    theirs, parts = reference.paper.setting, []
    if not reference.meets({}, {"encoder": theirs.encoder}):
        layers = f" of {reference.num_layers} layers" if reference.num_layers else ""
        parts.append(f"encoder {study.encoder}{layers} instead of {theirs.encoder} of {theirs.num_layers}")
    lengths = sorted(
        {
            length
            for variant in study.variants
            if isinstance(length := variant.recipe.get("max_length"), int) and length != theirs.max_length
        }
    )
    if lengths:
        told = " and ".join(map(str, lengths))
        parts.append(f"texts of at most {told} tokens instead of {theirs.max_length}")
    for task, paper_task in reference.paper_task_by_task.items():
        ours = _num_train([variant for variant in study.variants if variant.task == task])
        data = reference.paper.data.get(paper_task)
        if ours is not None and data is not None and ours != data.num_train:
            parts.append(f"{task} with {ours:,} training texts instead of {data.num_train:,}")
    return f"Our setting differs from the paper's: {'; '.join(parts)}." if parts else ""


def _num_train(variants: Sequence[VariantResult]) -> int | None:
    folders = (variant.folders["view"] for variant in variants if "view" in variant.folders)
    counts = (read_metrics(folder).get("train/num_texts") for folder in folders)
    return next((int(count) for count in counts if count is not None), None)


def _beside(study: Study, reference: StudyReference, table: Table) -> BesideTable:
    columns = dict.fromkeys(name for row in table.rows for name in row.values)
    tasks = []
    for task, conditions in conditions_by_task(study).items():
        paper_task = reference.paper_task_by_task.get(task)
        if paper_task in columns:
            tasks.append(_task(reference, table, task, paper_task, list(conditions.values())))
    found = {task.paper_task for task in tasks}
    return BesideTable(
        table,
        tuple(tasks),
        tuple(name for name in columns if name not in found),
        tuple(_reductions(table, tasks)),
    )


def _task(
    reference: StudyReference,
    table: Table,
    task: str,
    paper_task: str,
    conditions: Sequence[tuple[VariantResult, ...]],
) -> BesideTask:
    cells: list[Beside] = []
    not_run, elsewhere = [], []
    for row in (row for row in table.rows if paper_task in row.values):
        paper = row.values[paper_task]
        found = _counterparts(reference, table, row, conditions) if table.measure == TEST_ERROR else []
        cells += [
            Beside(
                row.row,
                condition_label(variants[0].condition),
                paper,
                mean_interval(errors, scale=(0, 100)),
                len(errors),
            )
            for variants, errors in found
        ]
        if row.where is None:
            elsewhere.append(f"{row.row} {paper:.2f}")
        elif not found:
            not_run.append(f"{row.row} {paper:.2f}")
    return BesideTask(task, paper_task, tuple(cells), tuple(not_run), tuple(elsewhere))


def _counterparts(
    reference: StudyReference, table: Table, row: Row, conditions: Sequence[tuple[VariantResult, ...]]
) -> list[tuple[tuple[VariantResult, ...], list[float]]]:
    """Conditions with a finished run that match the row; of several, those with the table's other
    settings."""
    if row.where is None:
        return []
    scored = [(variants, _errors(variants)) for variants in conditions]
    found = [
        (variants, errors)
        for variants, errors in scored
        if errors and reference.meets(variants[0].recipe, row.where)
    ]
    for factor, value in table.otherwise.items():
        if factor not in row.where:
            alike = [one for one in found if reference.meets(one[0][0].recipe, {factor: value})]
            found = alike or found
    return found


def _errors(variants: Sequence[VariantResult]) -> list[float]:
    """Finite test errors in % of the finished seeds."""
    done = [v for v in variants if v.state == "done" and "finetune" in v.folders]
    scores = (read_metrics(variant.folders["finetune"]).get(ACCURACY, math.nan) for variant in done)
    return [100 * (1 - score) for score in scores if math.isfinite(score)]


def _reductions(table: Table, tasks: Sequence[BesideTask]) -> list[Reduction]:
    """For each continued pretraining over at least two tasks; the paper averages over different ones."""
    starts = {row.row: row.where.get(PRETRAINING) for row in table.rows if row.where is not None}
    plain = next((row for row, start in starts.items() if start == "none"), None)
    if plain is None:
        return []
    errors = {task.task: _one_by_row(task.cells) for task in tasks}
    reductions = []
    for row in (row for row, start in starts.items() if start not in (None, "none")):
        both = [task for task, cells in errors.items() if row in cells and plain in cells]
        if len(both) > 1:
            pairs = [(errors[task][plain], errors[task][row]) for task in both]
            reductions.append(
                Reduction(
                    row,
                    tuple(both),
                    paper=100 * fmean(1 - after.paper / before.paper for before, after in pairs),
                    ours=100 * fmean(_relative(before.ours.mean, after.ours.mean) for before, after in pairs),
                )
            )
    return reductions


def _one_by_row(cells: Sequence[Beside]) -> Mapping[str, Beside]:
    """Rows that exactly one condition of ours matches."""
    rows = [cell.row for cell in cells]
    return {cell.row: cell for cell in cells if rows.count(cell.row) == 1}


def _relative(before: float, after: float) -> float:
    return 1 - after / before if before else math.nan
