"""Labelled texts of files and of the Hugging Face Hub, every bad row refused with its file and row."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, assert_never

from layerscope.jobs.specs.stages import Columns, Layout, Sample, target_of
from layerscope.jobs.specs.targets import Target
from layerscope.jobs.text.answers import answer_fault, placeholder_fault
from layerscope.jobs.text.choices import (
    Choice,
    check_choices,
    check_choices_with_answers,
    choice_fault,
    choices_of,
    label_of,
)
from layerscope.jobs.text.delimited import Record
from layerscope.jobs.text.faults import MAX_FAULTS, Fault, Note, Noted, listed
from layerscope.jobs.text.file_kinds import regular
from layerscope.jobs.text.formats import USUAL_LAYOUT, records
from layerscope.jobs.text.hub import hub_records
from layerscope.jobs.text.lookalikes import nearest, refuse_lookalikes
from layerscope.jobs.text.row_faults import (
    columns_of,
    hint_of_hidden,
    is_skipped,
    label_fault,
    number_fault,
    text_fault,
    text_in,
)

USUAL_COLUMNS = Columns()
"""One text and a label."""


@dataclass(frozen=True)
class _Reading:
    """Which columns are read, and as what."""

    columns: Columns
    target: Target
    has_label: bool

    def names(self) -> list[str]:
        written = self.columns
        choices = (written.choices,) if isinstance(written.choices, str) else written.choices or ()
        label = (written.answers or written.label) if self.has_label else None
        texts = (*columns_of(written.text), *columns_of(written.text_pair))
        return [name for name in (*texts, label, *choices) if name is not None]


@dataclass(frozen=True)
class Row:
    """A text and what is to be predicted from it."""

    id: str
    """Where the row stands: the line on which it begins, or its number where there are no lines; from 1."""
    text: str
    label: str | None
    """None where no label column was asked for, or answers are given."""
    text_pair: str | None = None
    """The second text of a pair; None where no column for it was asked for."""
    choices: tuple[Choice, ...] | None = None
    """Names and texts, one of them the label's; None where no column for them was asked for."""
    answers: tuple[str, ...] | None = None
    """Texts of the choices that are right; None where no column for them was asked for."""
    placeholder: str | None = None
    """What in the second text stands for a choice."""


def read_rows(
    path: Path,
    columns: Columns = USUAL_COLUMNS,
    *,
    predict: Literal["label", "number"] = "label",
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
    predict: Literal["label", "number"] = "label",
    has_label: bool = True,
    layout: Layout = USUAL_LAYOUT,
) -> Noted[Row]:
    """As `read_rows`, with what is worth knowing of the file."""
    reading = _Reading(columns, target_of(columns, predict), has_label)
    return _rows(records(path, reading.names(), layout), path.name, reading)


def columns_read(columns: Columns, predict: Literal["label", "number"], *, has_label: bool) -> list[str]:
    """Names of all columns of which `read_rows` and `read_hub` read something."""
    return _Reading(columns, target_of(columns, predict), has_label).names()


def read_hub(
    name: str,
    *,
    subset: str | None,
    revision: str,
    split: str,
    columns: Columns = USUAL_COLUMNS,
    predict: Literal["label", "number"] = "label",
    has_label: bool = True,
) -> list[Row]:
    """Rows of one split of a data set on the Hub at a pinned revision; without network, from its cache.

    Raises:
        ValueError: the data set could not be had, or rows are at fault, as in `read_rows`.
    """
    reading = _Reading(columns, target_of(columns, predict), has_label)
    numbered = hub_records(name, subset=subset, revision=revision, split=split, columns=reading.names())
    return _rows(numbered, f"{name}/{split}", reading).found


def check_labels(
    rows_by_split: Mapping[str, Sequence[Row]], *, names: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """The sorted labels of the split `train`, once every other split has been found to use no other.

    Args:
        rows_by_split: `train`, `test` and, where it is not to be drawn from train, `validation`.
        names: What messages call a split, as the name of its file.

    Raises:
        ValueError: fewer than two labels, two that look the same, a label that is unknown in training, or,
            where the validation split is to be drawn, a label with a single row.
    """
    names = dict(names or {})
    train = names.get("train", "train")
    count_by_label = Counter(str(row.label) for row in rows_by_split["train"])
    place_by_label: dict[str, str] = {}
    for row in rows_by_split["train"]:
        place_by_label.setdefault(str(row.label), f"{train}:{row.id}")
    labels = tuple(sorted(count_by_label))
    known = ", ".join(labels[:20]) + (f", ... ({len(labels)})" if len(labels) > 20 else "")
    refuse_lookalikes(place_by_label)
    if len(labels) < 2:
        raise ValueError(f"{train} has one label only ({known}): there is nothing to predict")
    unknown = [
        (names.get(split, split), row)
        for split, rows in rows_by_split.items()
        for row in rows
        if row.label not in count_by_label
    ]
    faults = [
        f"{place}:{row.id}: label {row.label!r} does not occur in {train}"
        + (nearest(str(row.label), labels) if number < MAX_FAULTS else "")
        for number, (place, row) in enumerate(unknown)
    ]
    if faults:
        raise ValueError(f"{listed(faults)}\n  labels of {train}: {known}")
    if "validation" not in rows_by_split:
        faults = [
            f"{train}:{row.id}: the only row with label {row.label!r}"
            for row in rows_by_split["train"]
            if count_by_label[str(row.label)] == 1
        ]
        if faults:
            raise ValueError(
                f"{listed(faults)}\n  a label needs two rows, as the validation split is drawn from {train}; "
                "add a row, remove this one, or name a validation file"
            )
    return labels


def strata(rows: Sequence[Row], target: Target) -> list[str]:
    """By what rows are drawn: every label keeps its share; other rows are all alike."""
    return [str(row.label) if target == "label" else "" for row in rows]


def check_targets(
    rows_by_split: Mapping[str, Sequence[Row]], target: Target, *, names: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Names of the labels, or of the choices, which all rows have in the same order (where they have answers,
    as many as they have); none of numbers.

    Raises:
        ValueError: as `check_labels`, all numbers are the same, a row has other choices than the first, or no
            row has two.
    """
    match target:
        case "label":
            return check_labels(rows_by_split, names=names)
        case "choice" | "answers":
            called = {split: (names or {}).get(split, split) for split in rows_by_split}
            places = (
                (f"{called[split]}:{row.id}", row) for split, rows in rows_by_split.items() for row in rows
            )
            check = check_choices if target == "choice" else check_choices_with_answers
            return check({place: row.choices or () for place, row in places})
        case "number":
            if len({float(str(row.label)) for row in rows_by_split["train"]}) < 2:
                raise ValueError("all numbers are the same: there is nothing to predict")
            return ()
        case never:
            assert_never(never)


def with_last(labels: tuple[str, ...], positive: str | None) -> tuple[str, ...]:
    """The labels with one of them at the end, the others in their order; as they are without one.

    Raises:
        ValueError: there is no such label.
    """
    if positive is None:
        return labels
    if positive not in labels:
        raise ValueError(f"positive: there is no label {positive!r} among {', '.join(labels)}")
    return (*(label for label in labels if label != positive), positive)


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
    from layerscope.jobs.text.splits import stratified_sample  # numpy is not needed to read

    kept = {}
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
            continue
        if not isinstance(fields, Fault) and is_skipped(fields, reading.columns, has_label=reading.has_label):
            continue
        reason = _fault_of(fields, reading)
        if reason:
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
        label_of(fields, columns) if reading.has_label and reading.target != "answers" else None,
        None if columns.text_pair is None else text_in(fields, columns.text_pair),
        None if columns.choices is None else choices_of(fields, columns),
        tuple(fields[columns.answers]) if columns.answers is not None and reading.has_label else None,
        columns.placeholder,
    )


def _fault_of(fields: Mapping[str, Any] | Fault, reading: _Reading) -> str | None:
    if isinstance(fields, Fault):
        return fields.reason
    columns = reading.columns
    reason = text_fault(fields, columns.text, "text")
    if reason is None and columns.text_pair is not None:
        reason = text_fault(fields, columns.text_pair, "second text")
    if reason is None and reading.has_label and reading.target != "answers":
        fault_of_label = number_fault if reading.target == "number" else label_fault
        reason = fault_of_label(fields, columns.label)
    if reason is None and columns.choices is not None:
        reason = choice_fault(fields, columns, has_label=reading.has_label)
    if reason is None and reading.has_label and reading.target == "answers":
        reason = answer_fault(fields, columns)
    if reason is None and columns.placeholder is not None and columns.text_pair is not None:
        reason = placeholder_fault(columns, text_in(fields, columns.text_pair))
    return reason
