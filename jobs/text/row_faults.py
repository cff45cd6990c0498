"""What is wrong with the text or label of a row, in words; nothing where all is well."""

import math
from collections.abc import Mapping
from typing import Any

from jobs.text.faults import lacking


def text_fault(fields: Mapping[str, Any], column: str, noun: str) -> str | None:
    """Of a text, which messages call by a noun."""
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


def _has_utf8(words: str) -> bool:
    try:
        words.encode()
    except UnicodeEncodeError:
        return False
    return True
