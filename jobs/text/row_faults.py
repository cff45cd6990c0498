"""The text and label of a row: read, and what is wrong with them in words, nothing where all is well."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jobs.specs.stages import Columns, Texts
from jobs.text.faults import lacking


def columns_of(texts: Texts | None) -> tuple[str, ...]:
    """The columns of a text, which may be several or none."""
    return (texts,) if isinstance(texts, str) else texts or ()


def text_in(fields: Mapping[str, Any], texts: Texts) -> str:
    """A text in which `text_fault` found nothing."""
    return " ".join(fields[column] for column in columns_of(texts))


def is_skipped(fields: Mapping[str, Any], columns: Columns, *, has_label: bool = True) -> bool:
    """Whether a row is left out since it has no label or an empty text, where its task says so."""
    label = columns.answers or columns.label
    if columns.skip_unlabelled and has_label and label in fields and fields[label] in (None, "", []):
        return True
    texts = (*columns_of(columns.text), *columns_of(columns.text_pair))
    return columns.skip_empty and any(_is_empty(fields[column]) for column in texts if column in fields)


def text_fault(fields: Mapping[str, Any], texts: Texts, noun: str) -> str | None:
    """Of a text, which messages call by a noun."""
    faults = (_part_fault(fields, column, noun) for column in columns_of(texts))
    return next(filter(None, faults), None)


def hint_of_hidden(reasons: Sequence[str]) -> str:
    """What may help where no row of a split is sound, and all for want of a label; else nothing."""
    if not set(reasons) <= {"no label", "no number", "no answers"}:
        return ""
    return (
        "\n  no row has one: where test labels are hidden, as in many data sets of the Hub, "
        "name the split that validates as `test`"
    )


def label_fault(fields: Mapping[str, Any], column: str) -> str | None:
    """Of a label: a word, or the number of a class."""
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


def number_fault(fields: Mapping[str, Any], column: str) -> str | None:
    """Of a label that is a number."""
    value = fields.get(column)
    if value is None or value == "":
        return f"no number{lacking(column, fields)}"
    try:
        is_number = not isinstance(value, bool) and math.isfinite(float(value))
    except (TypeError, ValueError):
        is_number = False
    return None if is_number else f"{value!r} is not a finite number"


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _part_fault(fields: Mapping[str, Any], column: str, noun: str) -> str | None:
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


def _has_utf8(words: str) -> bool:
    try:
        words.encode()
    except UnicodeEncodeError:
        return False
    return True
