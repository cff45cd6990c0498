"""Labelled texts of files and of the Hugging Face Hub; invalid rows are rejected with file and row."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerscope.jobs.specs.stages import Columns, Layout, Sample, target_of
from layerscope.jobs.specs.targets import Predict, Target
from layerscope.jobs.text.reading.choices import choices_of
from layerscope.jobs.text.reading.data_faults import Fault, Note, Noted, listed
from layerscope.jobs.text.reading.delimited import Record
from layerscope.jobs.text.reading.file_kinds import regular
from layerscope.jobs.text.reading.hub_rows import hub_records
from layerscope.jobs.text.reading.right_answers import placeholder_fault
from layerscope.jobs.text.reading.row_faults import (
    columns_of,
    hint_of_hidden,
    is_skipped,
    text_fault,
    text_in,
)
from layerscope.jobs.text.reading.row_targets import ROW_TARGETS, RowTarget, strata
from layerscope.jobs.text.reading.rows import Row
from layerscope.jobs.text.reading.text_formats import USUAL_LAYOUT, records

USUAL_COLUMNS = Columns()
"""One text and a label."""


@dataclass(frozen=True)
class _Reading:
    """Which columns are read, and as what."""

    columns: Columns
    of_rows: RowTarget
    has_label: bool

    def names(self) -> list[str]:
        written = self.columns
        choices = (written.choices,) if isinstance(written.choices, str) else written.choices or ()
        label = (written.answers or written.label) if self.has_label else None
        texts = (*columns_of(written.text), *columns_of(written.text_pair))
        return [name for name in (*texts, label, *choices) if name is not None]


def read_rows(
    path: Path,
    columns: Columns = USUAL_COLUMNS,
    *,
    predict: Predict = "label",
    has_label: bool = True,
    layout: Layout = USUAL_LAYOUT,
) -> list[Row]:
    """Rows of a file, or of a folder written by `datasets.Dataset.save_to_disk`.

    Delimited text has a header line. A CSV field may be quoted; in TSV a quote is a character like any other
    (as in GLUE's files), where the layout does not say otherwise. Labels are strings or integers; integers
    become strings, or names where the data set names its classes.

    Args:
        predict: Numbers stay what they are, written as Python writes them.
        has_label: Whether labels are read.

    Raises:
        ValueError: the file is missing, of no known format or without rows, or rows are at fault; the
            first ten are named as `file:row: reason`.
    """
    return noted_rows(path, columns, predict=predict, has_label=has_label, layout=layout).found


def noted_rows(
    path: Path,
    columns: Columns = USUAL_COLUMNS,
    *,
    predict: Predict = "label",
    has_label: bool = True,
    layout: Layout = USUAL_LAYOUT,
) -> Noted[Row]:
    """As `read_rows`, with what is worth knowing of the file."""
    reading = _Reading(columns, ROW_TARGETS[target_of(columns, predict)], has_label)
    return _rows(records(path, reading.names(), layout), path.name, reading)


def columns_read(columns: Columns, predict: Predict, *, has_label: bool) -> list[str]:
    """Names of all columns of which `read_rows` and `read_hub` read something."""
    return _Reading(columns, ROW_TARGETS[target_of(columns, predict)], has_label).names()


def read_hub(
    name: str,
    *,
    subset: str | None,
    revision: str,
    split: str,
    columns: Columns = USUAL_COLUMNS,
    predict: Predict = "label",
    has_label: bool = True,
) -> list[Row]:
    """Rows of one split of a data set on the Hub at a pinned revision; without network, from its cache.

    Raises:
        ValueError: the data set could not be had, or rows are at fault, as in `read_rows`.
    """
    reading = _Reading(columns, ROW_TARGETS[target_of(columns, predict)], has_label)
    numbered = hub_records(name, subset=subset, revision=revision, split=split, columns=reading.names())
    return _rows(numbered, f"{name}/{split}", reading).found


def sequences_of(rows: Sequence[Row]) -> tuple[list[str], list[str] | None]:
    """First texts of all sequences that an encoder reads, and second ones where they are pairs.

    A row with choices is as many pairs: its texts, as one, with each of the choices; or its first text with
    its second, in which a choice stands for the placeholder.
    """
    if rows and rows[0].choices is not None:
        pairs = [_with_choice(row, text) for row in rows for _, text in row.choices or ()]
        return [first for first, _ in pairs], [second for _, second in pairs]
    seconds = [row.text_pair for row in rows if row.text_pair is not None]
    return [row.text for row in rows], seconds or None


def sampled(
    rows_by_split: Mapping[str, Sequence[Row]], sample: Sample, target: Target = "label"
) -> dict[str, Sequence[Row]]:
    """Of each split the rows that a sample takes, in their order."""
    if not (sample.train or sample.validation or sample.test):
        return dict(rows_by_split)
    from layerscope.jobs.text.reading.splits import stratified_sample  # numpy is not needed to read

    kept: dict[str, Sequence[Row]] = {}
    for split, rows in rows_by_split.items():
        positions = stratified_sample(
            strata(rows, target), size=getattr(sample, split), seed=sample.seed, split=split
        )
        kept[split] = [rows[position] for position in positions]
    return kept


def _with_choice(row: Row, choice: str) -> tuple[str, str]:
    if row.placeholder is not None and row.text_pair is not None:
        return row.text, row.text_pair.replace(row.placeholder, choice)
    return " ".join(filter(None, (row.text, row.text_pair))), choice


def digest(path: Path) -> str:
    """sha256 of a file's bytes, or of the names and bytes of all files in a folder; 64 hexadecimal digits."""
    if not path.is_dir():
        with regular(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    hasher = hashlib.sha256()
    for part in sorted(part for part in path.rglob("*") if part.is_file()):
        hasher.update(f"{part.relative_to(path).as_posix()}:{digest(part)}\n".encode())
    return hasher.hexdigest()


def refuse_changed(path: Path, *, planned: str, found: str | None = None) -> None:
    """Raise ValueError for a file or folder whose digest, `digest(path)` if not given, is not the planned."""
    found = found or digest(path)
    if found != planned:
        raise ValueError(
            f"{path} has changed since it was planned: its digest is {found}, the plan has {planned}; "
            "run the same command again to plan with what is there now"
        )


def _rows(numbered: Iterable[Record], place: str, reading: _Reading) -> Noted[Row]:
    rows, faults, notes = [], [], []
    for number, fields in numbered:
        if isinstance(fields, Note):
            notes.append(fields.reason)
        elif isinstance(fields, Fault):
            faults.append((number, fields.reason))
        elif is_skipped(fields, reading.columns, has_label=reading.has_label):
            continue
        elif reason := _fault_of(fields, reading):
            faults.append((number, reason))
        else:
            rows.append(_row(number, fields, reading))
    if faults:
        told = listed([f"{place}:{number}: {reason}" for number, reason in sorted(faults)])
        raise ValueError(told if rows else told + hint_of_hidden([reason for _, reason in faults]))
    if not rows:
        raise ValueError(f"{place}: no rows")
    return Noted(rows, tuple(notes))


def _row(number: int, fields: Mapping[str, Any], reading: _Reading) -> Row:
    columns = reading.columns
    return Row(
        str(number),
        text_in(fields, columns.text),
        reading.of_rows.label(fields, columns) if reading.has_label else None,
        None if columns.text_pair is None else text_in(fields, columns.text_pair),
        None if columns.choices is None else choices_of(fields, columns),
        tuple(fields[columns.answers]) if columns.answers is not None and reading.has_label else None,
        columns.placeholder,
    )


def _fault_of(fields: Mapping[str, Any], reading: _Reading) -> str | None:
    columns = reading.columns
    reason = text_fault(fields, columns.text, "text")
    if reason is None and columns.text_pair is not None:
        reason = text_fault(fields, columns.text_pair, "second text")
    if reason is None:
        reason = reading.of_rows.fault(fields, columns, reading.has_label)
    if reason is None and columns.placeholder is not None and columns.text_pair is not None:
        reason = placeholder_fault(columns, text_in(fields, columns.text_pair))
    return reason
