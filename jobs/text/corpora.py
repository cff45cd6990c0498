"""Labelled texts of files and of the Hugging Face Hub, every bad row refused with its file and row."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.specs.stages import Sample
from jobs.text.faults import Fault, existing, lacking, listed
from jobs.text.formats import Record, dataset_records, records


@dataclass(frozen=True)
class _Columns:
    text: str
    text_pair: str | None
    label: str | None

    def names(self) -> list[str]:
        return [name for name in (self.text, self.text_pair, self.label) if name is not None]


@dataclass(frozen=True)
class Row:
    """A text and what is to be predicted from it."""

    id: str
    """Where the row stands: the line on which it begins, or its number where there are no lines; from 1."""
    text: str
    label: str | None
    """None where no label column was asked for."""
    text_pair: str | None = None
    """The second text of a pair; None where no column for it was asked for."""


def read_rows(
    path: Path, *, text: str = "text", label: str | None = "label", text_pair: str | None = None
) -> list[Row]:
    """Rows of a file, or of a folder written by `datasets.Dataset.save_to_disk`.

    Delimited text has a header line. A CSV field may be quoted; in TSV a quote is a character like any other
    (as in GLUE's files). Labels are strings or integers; integers become strings, or names where the data
    set names its classes.

    Args:
        text, label, text_pair: Names of the columns; without one for labels or pairs the rows have none.

    Raises:
        ValueError: the file is missing, of no known format or without rows, or rows are at fault; the
            first ten are named as `file:row: reason`.
    """
    columns = _Columns(text, text_pair, label)
    return _rows(records(path, columns.names()), path.name, columns)


def read_hub(
    name: str,
    *,
    subset: str | None,
    revision: str,
    split: str,
    text: str = "text",
    label: str | None = "label",
    text_pair: str | None = None,
) -> list[Row]:
    """Rows of one split of a data set on the Hub at a pinned revision; without network, from its cache.

    Raises:
        ValueError: the data set could not be had, or rows are at fault, as in `read_rows`.
    """
    import datasets

    place = f"{name}{f' ({subset})' if subset else ''}, split {split}, at {revision}"
    try:
        dataset = datasets.load_dataset(name, subset, split=split, revision=revision)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise ValueError(
            f"the Hub data set {place} could not be read: {error}\n"
            f"tried: the cache {datasets.config.HF_DATASETS_CACHE}, then {datasets.config.HF_ENDPOINT}"
            f"{' (switched off by HF_HUB_OFFLINE)' if datasets.config.HF_HUB_OFFLINE else ''}"
        ) from error
    columns = _Columns(text, text_pair, label)
    return _rows(dataset_records(dataset, columns.names(), place), f"{name}/{split}", columns)


def check_labels(
    rows_by_split: Mapping[str, Sequence[Row]], *, names: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """The sorted labels of the split `train`, once every other split has been found to use no other.

    Args:
        rows_by_split: `train`, `test` and, where it is not to be drawn from train, `validation`.
        names: What messages call a split, as the name of its file.

    Raises:
        ValueError: fewer than two labels, a label that is unknown in training, or, where the validation split
            is to be drawn, a label with a single row.
    """
    names = dict(names or {})
    count_by_label = Counter(row.label for row in rows_by_split["train"])
    labels = tuple(sorted(count_by_label))
    train = names.get("train", "train")
    known = ", ".join(labels[:20]) + (f", ... ({len(labels)})" if len(labels) > 20 else "")
    if len(labels) < 2:
        raise ValueError(f"{train} has one label only ({known}): there is nothing to predict")
    faults = [
        f"{names.get(split, split)}:{row.id}: label {row.label!r} does not occur in {train}"
        for split, rows in rows_by_split.items()
        for row in rows
        if row.label not in count_by_label
    ]
    if faults:
        raise ValueError(f"{listed(faults)}\n  labels of {train}: {known}")
    if "validation" not in rows_by_split:
        faults = [
            f"{train}:{row.id}: the only row with label {row.label!r}"
            for row in rows_by_split["train"]
            if count_by_label[row.label] == 1
        ]
        if faults:
            raise ValueError(
                f"{listed(faults)}\n  a label needs two rows, as the validation split is drawn from {train}; "
                "add a row, remove this one, or name a validation file"
            )
    return labels


def sampled(rows_by_split: Mapping[str, Sequence[Row]], sample: Sample) -> dict[str, Sequence[Row]]:
    """Of each split the rows that a sample takes, in their order."""
    if not (sample.train or sample.validation or sample.test):
        return dict(rows_by_split)
    from jobs.text.splits import stratified_sample  # numpy is not needed to read

    kept = {}
    for split, rows in rows_by_split.items():
        labels = [str(row.label) for row in rows]
        positions = stratified_sample(labels, size=getattr(sample, split), seed=sample.seed)
        kept[split] = [rows[position] for position in positions]
    return kept


def digest(path: Path) -> str:
    """sha256 of a file's bytes, or of the names and bytes of all files in a folder; 64 hexadecimal digits."""
    if not path.is_dir():
        with existing(path).open("rb") as file:
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


def _rows(numbered: Iterable[Record], place: str, columns: _Columns) -> list[Row]:
    rows, faults = [], []
    for number, fields in numbered:
        reason = _fault_of(fields, columns)
        if reason:
            faults.append((number, reason))
        else:
            rows.append(
                Row(
                    str(number),
                    fields[columns.text],
                    None if columns.label is None else str(fields[columns.label]),
                    None if columns.text_pair is None else fields[columns.text_pair],
                )
            )
    if faults:
        raise ValueError(listed([f"{place}:{number}: {reason}" for number, reason in sorted(faults)]))
    if not rows:
        raise ValueError(f"{place}: no rows")
    return rows


def _fault_of(fields: Mapping[str, Any] | Fault, columns: _Columns) -> str | None:
    if isinstance(fields, Fault):
        return fields.reason
    reason = _text_fault(fields, columns.text, "text")
    if reason is None and columns.text_pair is not None:
        reason = _text_fault(fields, columns.text_pair, "second text")
    if reason is None and columns.label is not None:
        reason = _label_fault(fields, columns.label)
    return reason


def _text_fault(fields: Mapping[str, Any], column: str, noun: str) -> str | None:
    match fields.get(column):
        case None:
            return f"no {noun}{lacking(column, fields)}"
        case str(words) if not words.strip():
            return f"empty {noun}"
        case str(words) if not _has_utf8(words):
            return f"{noun} with half of a surrogate pair, which is no character"
        case str():
            return None
        case other:
            return f"{noun} of type {type(other).__name__}, not a string"


def _label_fault(fields: Mapping[str, Any], column: str) -> str | None:
    match fields.get(column):
        case None:
            return f"no label{lacking(column, fields)}"
        case str(name) if not name.strip():
            return "no label"
        case bool() as other:
            return f"label {other} of type bool, not a string or an integer"
        case str() | int():
            return None
        case other:
            return f"label {other!r} of type {type(other).__name__}, not a string or an integer"


def _has_utf8(words: str) -> bool:
    try:
        words.encode()
    except UnicodeEncodeError:
        return False
    return True
