"""Tokenised annotated sentences: token ids, and the tokens and label of every labelled span."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from layerscope.jobs.artifacts.tokenised import Span

SENTENCES = "sentences.json"


@dataclass(frozen=True)
class EncodedUnit:
    """A labelled span (or pair of spans) with its tokens."""

    spans: tuple[Span, ...]
    """First token and the one after the last of each span; special tokens are counted."""
    label: str
    words: str
    """The words of the first span, in lower case."""


@dataclass(frozen=True)
class EncodedSentence:
    """Token ids of a sentence, including special tokens, and its labelled spans."""

    id: str
    texts: tuple[str, ...]
    input_ids: tuple[int, ...]
    units: tuple[EncodedUnit, ...]
    type_ids: tuple[int, ...] | None = None
    """Token types, if there are two texts."""


@dataclass(frozen=True)
class LabelledUnit:
    """A labelled span of a sentence."""

    id: str
    """Sentence and words, so that labelled spans of the same sentence have different ids."""
    sentence: int
    """Position of its sentence."""
    spans: tuple[Span, ...]
    """Token positions; special tokens are counted."""
    label: int
    words: str


@dataclass(frozen=True)
class AnnotatedSplit:
    """The sentences of one split and all their labelled spans."""

    ids: Sequence[str]
    input_ids: Sequence[Sequence[int]]
    units: Sequence[LabelledUnit]
    type_ids: Sequence[Sequence[int]] | None = None
    """Token types, if sentences are pairs of texts."""


def write_annotated(
    folder: Path, sentences_by_split: Mapping[str, Sequence[EncodedSentence]], labels: Sequence[str]
) -> None:
    """Write the sentences and the names of the labels; a label's id is its position."""
    content = {
        "labels": list(labels),
        "splits": {
            split: [
                {
                    "id": sentence.id,
                    "texts": list(sentence.texts),
                    "input_ids": list(sentence.input_ids),
                    **({} if sentence.type_ids is None else {"type_ids": list(sentence.type_ids)}),
                    "units": [[unit.spans, unit.label, unit.words] for unit in sentence.units],
                }
                for sentence in sentences
            ]
            for split, sentences in sentences_by_split.items()
        },
    }
    (folder / SENTENCES).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def read_annotated(folder: Path, split: Literal["train", "validation", "test"]) -> AnnotatedSplit:
    """One split; a validation split exists only for sentences used in fine-tuning."""
    content = json.loads((folder / SENTENCES).read_text(encoding="utf-8"))
    number = {label: position for position, label in enumerate(content["labels"])}
    sentences = content["splits"][split]
    units = [
        LabelledUnit(
            f"{sentence['id']}:{place}",
            position,
            tuple((first, last) for first, last in spans),
            number[label],
            words,
        )
        for position, sentence in enumerate(sentences)
        for place, (spans, label, words) in enumerate(sentence["units"])
    ]
    are_pairs = "type_ids" in sentences[0]
    return AnnotatedSplit(
        ids=[sentence["id"] for sentence in sentences],
        input_ids=[sentence["input_ids"] for sentence in sentences],
        units=units,
        type_ids=[sentence["type_ids"] for sentence in sentences] if are_pairs else None,
    )


def read_sentences(
    folder: Path, split: Literal["train", "validation", "test"]
) -> tuple[list[str], list[list[str]]]:
    """Ids and texts, one or two, of a split's sentences."""
    sentences = json.loads((folder / SENTENCES).read_text(encoding="utf-8"))["splits"][split]
    return [sentence["id"] for sentence in sentences], [sentence["texts"] for sentence in sentences]


def read_annotated_labels(folder: Path) -> list[str]:
    """Names of the labels; a label's id is its position."""
    labels: list[str] = json.loads((folder / SENTENCES).read_text(encoding="utf-8"))["labels"]
    return labels
