"""Rows of texts with marked spans, one label each, as annotated sentences: word senses, pronouns.

A row is one sentence, or the two texts of a pair as one, and its one unit is the span or the two spans.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from layerscope.jobs.artifacts.tokenised import Span
from layerscope.jobs.specs.stages import Columns, Layout, SpanColumns
from layerscope.jobs.text.reading.annotated_sentences import AnnotatedSentence, Unit
from layerscope.jobs.text.reading.data_faults import Fault, Note, Noted, lacking, listed
from layerscope.jobs.text.reading.delimited import Record
from layerscope.jobs.text.reading.row_faults import (
    columns_of,
    hint_of_hidden,
    is_skipped,
    label_fault,
    text_fault,
    text_in,
)
from layerscope.jobs.text.reading.text_formats import USUAL_LAYOUT, records

Characters = tuple[int, int]
"""First character, and the one after the last; from 0."""


def columns_of_spans(columns: Columns) -> list[str]:
    """All columns that are read."""
    named: list[str | None] = [*columns_of(columns.text), *columns_of(columns.text_pair), columns.label]
    for span in columns.spans or ():
        named += [span.start, span.end, span.first_word, span.words]
    return [name for name in named if name is not None]


def read_span_sentences(
    path: Path, columns: Columns, layout: Layout = USUAL_LAYOUT
) -> list[AnnotatedSentence]:
    """The rows of a file of any format that rows are read from, as `span_sentences`."""
    return noted_span_sentences(path, columns, layout).found


def noted_span_sentences(
    path: Path, columns: Columns, layout: Layout = USUAL_LAYOUT
) -> Noted[AnnotatedSentence]:
    """As `read_span_sentences`, with what is worth knowing of the file."""
    return span_sentences(records(path, columns_of_spans(columns), layout), path.name, columns)


def span_sentences(numbered: Iterable[Record], place: str, columns: Columns) -> Noted[AnnotatedSentence]:
    """One sentence a row.

    Raises:
        ValueError: rows are invalid, for example a span that is not in its text; or there are none.
    """
    sentences, faults, notes = [], [], []
    for number, fields in numbered:
        if isinstance(fields, Note):
            notes.append(fields.reason)
        elif isinstance(fields, Fault):
            faults.append((number, fields.reason))
        elif is_skipped(fields, columns):
            continue
        elif reason := _fault_of(fields, columns):
            faults.append((number, reason))
        else:
            sentences.append(_sentence(str(number), fields, columns))
    if faults:
        told = listed([f"{place}:{number}: {reason}" for number, reason in faults])
        raise ValueError(told if sentences else told + hint_of_hidden([reason for _, reason in faults]))
    if not sentences:
        raise ValueError(f"{place}: no rows")
    return Noted(sentences, tuple(notes))


def _sentence(id: str, fields: Mapping[str, Any], columns: Columns) -> AnnotatedSentence:
    texts = [text_in(fields, of) for of in (columns.text, columns.text_pair) if of is not None]
    marked = [
        (0 if span.of == "text" else 1, _characters(fields, span, texts)) for span in columns.spans or ()
    ]
    pieces = [
        _pieces(text, {border for of, characters in marked if of == number for border in characters})
        for number, text in enumerate(texts)
    ]
    before = (0, len(pieces[0]))
    spans = tuple(_words_in(pieces[of], characters, before[of]) for of, characters in marked)
    words = tuple(text[first:last] for text, of in zip(texts, pieces, strict=True) for first, last in of)
    spaces = tuple(not glued for text, of in zip(texts, pieces, strict=True) for glued in _glued(of))
    border = len(pieces[0]) if len(texts) == 2 else None
    return AnnotatedSentence(id, words, (Unit(spans, str(fields[columns.label])),), spaces, border)


def _pieces(text: str, borders: set[int]) -> list[Characters]:
    """Where the words of a text stand; a span that begins or ends inside a word parts it."""
    found: list[Characters] = []
    for word in re.finditer(r"\S+", text):
        cuts = sorted({word.start(), word.end(), *(b for b in borders if word.start() < b < word.end())})
        found += zip(cuts, cuts[1:], strict=False)
    return found


def _glued(pieces: Sequence[Characters]) -> list[bool]:
    """Whether the next piece follows each without a space."""
    return [last == first for (_, last), (first, _) in zip(pieces, pieces[1:], strict=False)] + [False]


def _words_in(pieces: Sequence[Characters], characters: Characters, num_before: int) -> Span:
    first, last = characters
    inside = [place for place, (begin, end) in enumerate(pieces) if begin >= first and end <= last]
    return num_before + inside[0], num_before + inside[-1] + 1


def _characters(fields: Mapping[str, Any], span: SpanColumns, texts: Sequence[str]) -> Characters:
    if span.start is not None and span.end is not None:
        return int(fields[span.start]), int(fields[span.end])
    assert span.first_word is not None and span.words is not None
    words = list(re.finditer(r"\S+", texts[0 if span.of == "text" else 1]))
    first = int(fields[span.first_word])
    return words[first].start(), words[first + len(fields[span.words].split()) - 1].end()


def _fault_of(fields: Mapping[str, Any], columns: Columns) -> str | None:
    reason = text_fault(fields, columns.text, "text")
    if reason is None and columns.text_pair is not None:
        reason = text_fault(fields, columns.text_pair, "second text")
    reason = reason or label_fault(fields, columns.label)
    for span in columns.spans or ():
        of = columns.text if span.of == "text" else columns.text_pair
        assert of is not None
        reason = reason or _span_fault(fields, span, text_in(fields, of))
    return reason


def _span_fault(fields: Mapping[str, Any], span: SpanColumns, text: str) -> str | None:
    for column in (span.start, span.end, span.first_word):
        value = None if column is None else fields.get(column)
        if column is not None and not (isinstance(value, int | str) and re.fullmatch(r"\d+", str(value))):
            return f"{column} must be a whole number from 0, not {value!r}{lacking(column, fields)}"
    if span.start is not None and span.end is not None:
        first, last = int(fields[span.start]), int(fields[span.end])
        if not (first < last <= len(text) and text[first:last].strip()):
            ends = f"{span.start} {first} and {span.end} {last}"
            return f"{ends} are no span of a text of {len(text)} characters"
        return None
    assert span.first_word is not None and span.words is not None
    words = fields.get(span.words)
    if not isinstance(words, str) or not words.strip():
        return f"{span.words} must be the words of a span, not {words!r}{lacking(span.words, fields)}"
    first, number, there = int(fields[span.first_word]), len(words.split()), len(text.split())
    if first + number > there:
        return f"{span.first_word} {first} with {number} words goes beyond a text of {there}"
    return None
