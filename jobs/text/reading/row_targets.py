"""Reading of each task type from rows: validation, storage, conflicting copies."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from layerscope.jobs.artifacts.tokenised import RIGHT, TOKEN_F1, Answers
from layerscope.jobs.specs.stages import Columns
from layerscope.jobs.specs.targets import TARGET_FACTS, Target
from layerscope.jobs.text.reading.choices import (
    check_choices,
    check_choices_with_answers,
    choice_fault,
    label_of,
)
from layerscope.jobs.text.reading.data_faults import MAX_FAULTS, listed
from layerscope.jobs.text.reading.lookalikes import nearest, refuse_lookalikes
from layerscope.jobs.text.reading.right_answers import answer_fault, answers_of
from layerscope.jobs.text.reading.row_faults import label_fault, number_fault
from layerscope.jobs.text.reading.rows import Row

Rows = Mapping[str, Sequence[Row]]
"""By split."""
Names = Mapping[str, str]
"""Name of a split in messages, for example its file."""


@dataclass(frozen=True)
class RowTarget:
    """Reading of a task type from rows."""

    fault: Callable[[Mapping[str, Any], Columns, bool], str | None]
    """What is wrong with what is to be predicted of a row, given its fields and whether labels are read."""
    check: Callable[[Rows, Names], tuple[str, ...]]
    """Names of the labels or choices, once the rows of all splits go together."""
    stored: Callable[[Sequence[Row], Sequence[str]], dict[str, list[Any]]]
    """Columns of prepared rows, given the names."""
    types: Mapping[str, str | list[str]]
    """Of these columns; a list has the type of its items."""
    compared: Callable[[Row], Iterable[tuple[Hashable, str]]]
    """Of what in the row, and what is right of it; two copies of a text contradict each other where these
    differ. Nothing where they are not to be compared."""
    label: Callable[[Mapping[str, Any], Columns], str | None] = label_of
    """The label of a row in which nothing is wrong."""
    notes: Callable[[Sequence[Row]], Iterable[str]] = lambda train: ()
    """What is worth knowing of the training rows."""


def check_targets(rows_by_split: Rows, target: Target, *, names: Names | None = None) -> tuple[str, ...]:
    """Names of the labels, or of the choices, which all rows have in the same order (where they have answers,
    as many as they have); none of numbers.

    Raises:
        ValueError: as `check_labels`, all numbers are the same, a row has other choices than the first, or no
            row has two.
    """
    return ROW_TARGETS[target].check(rows_by_split, names or {})


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
        raise ValueError(f"{train} has only one label ({known}): there is nothing to predict")
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
                f"{listed(faults)}\n  a label needs two rows, for a validation split from {train}; "
                "add a row, remove this one, or name a validation file"
            )
    return labels


def strata(rows: Sequence[Row], target: Target) -> list[str]:
    """Strata for sampling: every label keeps its share; other targets are sampled uniformly."""
    return [str(row.label) if TARGET_FACTS[target].has_labels else "" for row in rows]


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


def _label_fault(fields: Mapping[str, Any], columns: Columns, has_label: bool) -> str | None:
    return label_fault(fields, columns.label) if has_label else None


def _number_fault(fields: Mapping[str, Any], columns: Columns, has_label: bool) -> str | None:
    return number_fault(fields, columns.label) if has_label else None


def _choice_fault(fields: Mapping[str, Any], columns: Columns, has_label: bool) -> str | None:
    reason = _label_fault(fields, columns, has_label)
    return reason or choice_fault(fields, columns, has_label=has_label)


def _answer_fault(fields: Mapping[str, Any], columns: Columns, has_label: bool) -> str | None:
    reason = choice_fault(fields, columns, has_label=has_label)
    return reason or (answer_fault(fields, columns) if has_label else None)


def _check_numbers(rows_by_split: Rows, names: Names) -> tuple[str, ...]:
    if len(set(_numbers(rows_by_split["train"]))) < 2:
        raise ValueError("all numbers are the same: there is nothing to predict")
    return ()


def _choices_by_place(rows_by_split: Rows, names: Names) -> dict[str, tuple[tuple[str, str], ...]]:
    return {
        f"{names.get(split, split)}:{row.id}": row.choices or ()
        for split, rows in rows_by_split.items()
        for row in rows
    }


def _stored_labels(rows: Sequence[Row], labels: Sequence[str]) -> dict[str, list[Any]]:
    """The place of each label; -1 of rows that are read for their texts alone."""
    place_by_label = {label: place for place, label in enumerate(labels)}
    return {"label": [place_by_label.get(str(row.label), -1) for row in rows]}


def _stored_answers(rows: Sequence[Row], labels: Sequence[str]) -> dict[str, list[Any]]:
    known = _answers(rows)
    return {
        "label": [answers.right[0] for answers in known],
        RIGHT: [list(answers.right) for answers in known],
        TOKEN_F1: [list(answers.token_f1) for answers in known],
    }


def _compared_choices(row: Row) -> Iterator[tuple[Hashable, str]]:
    """What is right is a text, as choices may stand in another order in a copy."""
    choices = row.choices or ()
    yield frozenset(text for _, text in choices), dict(choices)[str(row.label)]


def _range(train: Sequence[Row]) -> Iterator[str]:
    numbers = _numbers(train)
    yield f"numbers in train: {min(numbers):g} to {max(numbers):g}, {fmean(numbers):.3g} on average"


def _numbers_of_choices(train: Sequence[Row]) -> Iterator[str]:
    known = _answers(train)
    for noun, counts in (
        ("choices of a row", [len(answers.token_f1) for answers in known]),
        ("correct ones of them", [len(answers.right) for answers in known]),
    ):
        yield f"{noun} in train: {min(counts)} to {max(counts)}, {fmean(counts):.3g} on average"


def _numbers(rows: Sequence[Row]) -> list[float]:
    return [float(str(row.label)) for row in rows]


def _answers(rows: Sequence[Row]) -> list[Answers]:
    return [answers_of([text for _, text in row.choices or ()], row.answers or ()) for row in rows]


ROW_TARGETS: Mapping[Target, RowTarget] = {
    "label": RowTarget(
        fault=_label_fault,
        check=lambda rows_by_split, names: check_labels(rows_by_split, names=names),
        stored=_stored_labels,
        types={"label": "int64"},
        compared=lambda row: () if row.label is None else ((None, row.label),),
    ),
    "number": RowTarget(
        fault=_number_fault,
        check=_check_numbers,
        stored=lambda rows, labels: {"label": _numbers(rows)},
        types={"label": "float64"},
        compared=lambda row: ((None, repr(float(str(row.label)))),),
        notes=_range,
    ),
    "choice": RowTarget(
        fault=_choice_fault,
        check=lambda rows_by_split, names: check_choices(_choices_by_place(rows_by_split, names)),
        stored=_stored_labels,
        types={"label": "int64"},
        compared=_compared_choices,
    ),
    "answers": RowTarget(
        fault=_answer_fault,
        check=lambda rows_by_split, names: check_choices_with_answers(
            _choices_by_place(rows_by_split, names)
        ),
        stored=_stored_answers,
        types={"label": "int64", RIGHT: ["int64"], TOKEN_F1: ["float64"]},
        compared=lambda row: (),
        label=lambda fields, columns: None,
        notes=_numbers_of_choices,
    ),
}
