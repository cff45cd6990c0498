"""Warnings about a task's data: duplicate texts, labels that may be the same."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from layerscope.jobs.specs.stages import target_of
from layerscope.jobs.specs.targets import TARGET_FACTS
from layerscope.jobs.text.reading.annotated_sentences import AnnotatedSentence
from layerscope.jobs.text.reading.copies import (
    copies_told,
    examples_of_rows,
    examples_of_sentences,
    texts_of_rows,
)
from layerscope.jobs.text.reading.data_faults import MAX_FAULTS, Noted
from layerscope.jobs.text.reading.lookalikes import alike
from layerscope.jobs.text.reading.rows import Row
from layerscope.orchestrator.experiment.tasks import Task


def notes_on_rows(task: Task, noted_by_split: Mapping[str, Noted[Row]]) -> tuple[str, ...]:
    """Of the rows of all splits, and of the files that they stand in."""
    rows = {split: noted.found for split, noted in noted_by_split.items()}
    target = target_of(task.columns, task.predict)
    is_drawn = "validation" not in rows
    notes = _of_files(noted.notes for noted in noted_by_split.values())
    if TARGET_FACTS[target].has_labels:
        labels = sorted({row.label for row in rows["train"] if row.label is not None})
        notes += islice(alike(labels), MAX_FAULTS)
        notes += _of_single_texts(rows["train"]) if is_drawn else ()
    examples = {split: examples_of_rows(of, target) for split, of in rows.items()}
    return (*notes, *copies_told(examples, "rows", is_drawn=is_drawn))


def notes_on_sentences(noted_by_split: Mapping[str, Noted[AnnotatedSentence]]) -> tuple[str, ...]:
    """Of the sentences of all splits, and of the files that they stand in."""
    sentences = {split: noted.found for split, noted in noted_by_split.items()}
    labels = sorted({unit.label for of in sentences.values() for one in of for unit in one.units})
    examples = {split: examples_of_sentences(of) for split, of in sentences.items()}
    return (
        *_of_files(noted.notes for noted in noted_by_split.values()),
        *islice(alike(labels), MAX_FAULTS),
        *copies_told(examples, "sentences", is_drawn="validation" not in sentences),
    )


def _of_files(notes: Iterable[Sequence[str]]) -> list[str]:
    """Once each: two splits may be one file."""
    return list(dict.fromkeys(note for of in notes for note in of))


def _of_single_texts(train: Sequence[Row]) -> Iterator[str]:
    """Labels whose rows all have one text, so that they cannot be in both training and validation."""
    texts: dict[str | None, set[Hashable]] = {}
    for row, text in zip(train, texts_of_rows(train), strict=True):
        texts.setdefault(row.label, set()).add(text)
    single = [str(label) for label, of in texts.items() if len(of) == 1]
    if single:
        shown = ", ".join(map(repr, single[:MAX_FAULTS])) + (", ..." if len(single) > MAX_FAULTS else "")
        where = "no label has two distinct texts, so validation rows are also in training"
        yield (
            f"all rows of a label have the same text, so none is in the validation split: {shown}"
            if len(single) < len(texts)
            else where
        )
