"""Duplicate texts within a split and between splits, and conflicting labels."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from layerscope.jobs.specs.targets import Target
from layerscope.jobs.text.reading.annotated_sentences import AnnotatedSentence
from layerscope.jobs.text.reading.row_targets import ROW_TARGETS
from layerscope.jobs.text.reading.rows import Row


@dataclass(frozen=True)
class Example:
    """Input and target of a row or sentence."""

    text: Hashable
    """Its texts, without choices."""
    labels: tuple[tuple[Hashable, str], ...]
    """Labelled part and label; None if labels are not compared."""


def texts_of_rows(rows: Sequence[Row]) -> list[Hashable]:
    """Content of rows; equal for copies."""
    return [(row.text, row.text_pair) for row in rows]


def texts_of_sentences(sentences: Sequence[AnnotatedSentence]) -> list[Hashable]:
    """Content of sentences; equal for copies."""
    return [(sentence.words, sentence.border) for sentence in sentences]


def examples_of_rows(rows: Sequence[Row], target: Target) -> list[Example]:
    """Rows as examples."""
    return [
        Example(text, tuple(ROW_TARGETS[target].compared(row)))
        for text, row in zip(texts_of_rows(rows), rows, strict=True)
    ]


def examples_of_sentences(sentences: Sequence[AnnotatedSentence]) -> list[Example]:
    """Sentences as examples."""
    return [
        Example(text, tuple((unit.spans, unit.label) for unit in sentence.units))
        for text, sentence in zip(texts_of_sentences(sentences), sentences, strict=True)
    ]


def copies_told(examples: Mapping[str, Sequence[Example]], noun: str, *, is_drawn: bool) -> Iterator[str]:
    """Notes on copies within train, and between train and the other splits.

    Args:
        examples: By split.
        noun: `rows` or `sentences`.
        is_drawn: Whether the validation split is sampled from train.
    """
    train = examples["train"]
    known = _labels_by_text(train)
    if num_copies := len(train) - len(known):
        many = sum(any(len(labels) > 1 for labels in of.values()) for of in known.values())
        labels = f", and {many:,} texts have contradicting labels" if any(one.labels for one in train) else ""
        together = "; the validation split keeps copies together" if is_drawn else ""
        yield f"{num_copies:,} {noun} of train are copies of an earlier one's texts{labels}{together}"
    for split, of in examples.items():
        if split == "train":
            continue
        shared = [example for example in of if example.text in known]
        if shared:
            others = sum(_contradicts(example, known[example.text]) for example in shared)
            yield (
                f"{len(shared):,} {noun} of {split} have the texts of a {noun[:-1]} of train"
                + (f", {others:,} of them with another label" if others else "")
            )
    if "validation" in examples:
        selected = {example.text for example in examples["validation"]}
        if both := sum(example.text in selected for example in examples.get("test", ())):
            yield f"validation has the texts of {both:,} {noun} of test"


def _labels_by_text(examples: Sequence[Example]) -> dict[Hashable, dict[Hashable, set[str]]]:
    found: dict[Hashable, dict[Hashable, set[str]]] = {}
    for example in examples:
        labels = found.setdefault(example.text, {})
        for place, label in example.labels:
            labels.setdefault(place, set()).add(label)
    return found


def _contradicts(example: Example, known: Mapping[Hashable, set[str]]) -> bool:
    return any(place in known and label not in known[place] for place, label in example.labels)
