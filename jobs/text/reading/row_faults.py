"""The text and label of a row: read, and what is wrong with them in words, nothing where all is well."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from layerscope.jobs.specs.stages import Columns, Texts
from layerscope.jobs.text.reading.data_faults import lacking


def columns_of(texts: Texts | None) -> tuple[str, ...]:
    """The columns of a text, which may be several or none."""
    return (texts,) if isinstance(texts, str) else texts or ()


def text_in(fields: Mapping[str, Any], texts: Texts) -> str:
    """A text in which `text_fault` found nothing."""
    return " ".join(fields[column] for column in columns_of(texts))


def is_skipped(fields: Mapping[str, Any], columns: Columns, *, has_label: bool = True) -> bool:
    """Whether a row is left out since it has no label or an empty text, where its task says so."""
    label = columns.answers or columns.label
    if columns.skip_unlabelled and has_label and label in fields and is_missing(fields[label]):
        return True
    texts = (*columns_of(columns.text), *columns_of(columns.text_pair))
    return columns.skip_empty and any(_is_empty(fields[column]) for column in texts if column in fields)


def is_missing(value: Any) -> bool:
    """Whether a label or its like is not there; pandas writes a gap among numbers as NaN."""
    return value is None or value in ("", []) or (isinstance(value, float) and math.isnan(value))


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
        case value if is_missing(value):
            return f"no label{lacking(column, fields)}"
        case str(name):
            return "no label" if not name.strip() else unwritable("label", name)
        case bool() as other:
            return f"label {other} of type bool, not a string or an integer: write it in quotes, or as 0 or 1"
        case int():
            return None
        case float() as other if other.is_integer():
            return f"label {other} of type float, not a string or an integer: write {other:.0f}, or a string"
        case other:
            return f"label {shortened(other)} of type {type(other).__name__}, not a string or an integer"


def number_fault(fields: Mapping[str, Any], column: str) -> str | None:
    """Of a label that is a number."""
    value = fields.get(column)
    if value is None or is_missing(value):
        return f"no number{lacking(column, fields)}"
    try:
        # Python takes 1_000 for a thousand; in data it is as likely a slip.
        is_number = not isinstance(value, bool) and math.isfinite(float(value)) and "_" not in str(value)
    except (TypeError, ValueError, OverflowError):
        is_number = False
    return None if is_number else f"{shortened(value)} is not a finite number"


def unwritable(noun: str, words: str) -> str | None:
    """What no file or page can hold of a text or label: half of a surrogate pair, and in a label zero."""
    try:
        words.encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(words[error.start]):04x} at character {error.start + 1}"
        return f"{noun} with half of a surrogate pair ({half}), which is no character"
    return f"{noun} with a character of zero (\\u0000)" if noun == "label" and "\0" in words else None


def shortened(value: Any) -> str:
    """A value as Python writes it, its beginning where it is long."""
    written = repr(value)
    return written if len(written) <= 80 else f"{written[:77]}..."


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _part_fault(fields: Mapping[str, Any], column: str, noun: str) -> str | None:
    match fields.get(column):
        case None:
            return f"no {noun}{lacking(column, fields)}"
        case str(words) if not words.strip():
            return f"empty {noun}"
        case str(words):
            return unwritable(noun, words)
        case other:
            return f"{noun} of type {type(other).__name__}, not a string"
