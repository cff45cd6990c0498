"""The choices of a row, one or some of which are right, in the forms in which data sets have them.

Three forms of one column: a list of texts, a mapping of names to texts, and a mapping with the lists `label`
(names) and `text`; or a column for each choice. Without names of their own choices are numbered.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from layerscope.jobs.specs.stages import Columns
from layerscope.jobs.text.reading.data_faults import lacking, listed, twice
from layerscope.jobs.text.reading.row_faults import unwritable

Choice = tuple[str, str]
"""Name and text."""


def choices_of(fields: Mapping[str, Any], columns: Columns) -> tuple[Choice, ...]:
    """The choices of a row in which `choice_fault` found nothing."""
    match _written(fields, columns):
        case {"label": list(names), "text": list(texts)}:
            return tuple(zip(map(str, names), texts, strict=True))
        case dict(text_by_name):
            return tuple((str(name), text) for name, text in text_by_name.items())
        case texts:
            return tuple((str(number), text) for number, text in enumerate(texts, start=columns.first_choice))


def label_of(fields: Mapping[str, Any], columns: Columns) -> str:
    """The label of a row; where each choice has a column, the label may be the name of one.

    White space around the name of a choice is not part of it: in SocialIQA's labels a line may end.
    """
    label = str(fields[columns.label])
    if columns.choices is not None:
        label = label.strip()
    if isinstance(columns.choices, tuple) and label in columns.choices:
        return str(columns.choices.index(label) + columns.first_choice)
    return label


def choice_fault(fields: Mapping[str, Any], columns: Columns, *, has_label: bool) -> str | None:
    """What is wrong with the choices of a row, or with the label that names one of them."""
    wanted = (columns.choices,) if isinstance(columns.choices, str) else columns.choices or ()
    for column in wanted:
        if fields.get(column) is None:
            return f"no choices{lacking(column, fields)}"
    written = _written(fields, columns)
    match written:
        case {"label": list(names), "text": list(texts)} if len(names) != len(texts):
            return f"{len(names)} names of choices for {len(texts)} texts"
        case list() | tuple() | dict():
            pass
        case other:
            return f"choices of type {type(other).__name__}, not a list or a mapping"
    choices: Sequence[tuple[str, object]] = choices_of(fields, columns)
    if len(choices) < 2 and columns.answers is None:
        return f"choices: {len(choices)}, and at least two are needed"
    if not choices:
        return "choices: 0, and at least one is needed"
    names = [name for name, _ in choices]
    for name, text in choices:
        if not isinstance(text, str) or not text.strip():
            return f"choice {name} is no text: {text!r}"
        if reason := unwritable("choice", text) or unwritable("label", name):
            return reason
    if (recurring := twice(names)) is not None:
        return f"duplicate choice {recurring!r}"
    if has_label and columns.answers is None and (label := label_of(fields, columns)) not in names:
        return f"label {label!r} is none of the choices {', '.join(names)}"
    return None


def check_choices_with_answers(choices_by_place: Mapping[str, Sequence[Choice]]) -> tuple[str, ...]:
    """Numbers of the choices, up to the maximum of all rows: rows with answers may vary in number.

    Raises:
        ValueError: no row has two choices.
    """
    most = max(map(len, choices_by_place.values()))
    if most < 2:
        raise ValueError("no row has more than one choice: there is nothing to predict")
    return tuple(str(number) for number in range(most))


def check_choices(choices_by_place: Mapping[str, Sequence[Choice]]) -> tuple[str, ...]:
    """The names of the choices, once all rows have been found to have the same ones in the same order.

    Args:
        choices_by_place: Of every row, by its file and row; the first one sets the names.

    Raises:
        ValueError: a row has others.
    """
    rows = {place: tuple(name for name, _ in choices) for place, choices in choices_by_place.items()}
    first_place, first = next(iter(rows.items()))
    faults = [
        f"{place}: choices {', '.join(names)}, but {first_place} has {', '.join(first)}"
        for place, names in rows.items()
        if names != first
    ]
    if faults:
        raise ValueError(listed(faults))
    return first


def _written(fields: Mapping[str, Any], columns: Columns) -> Any:
    if isinstance(columns.choices, str):
        return fields[columns.choices]
    return [fields[column] for column in columns.choices or ()]
