"""Annotated sentences: their words, and the labels of single words, pairs of words and spans of words.

Read from CoNLL-U (Universal Dependencies), CoNLL-U-Lex (STREUSLE) and JSON lines, every bad line refused with
its file and number; and made by the sample corpus's generator.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

from jobs.specs.annotations import AnnotatedLabel, SampleLabel
from jobs.text.faults import Fault, lacking, listed
from jobs.text.formats import numbered_lines, records

Span = tuple[int, int]
"""First word, and the one after the last; from 0."""

COLUMNS = {"upos": 3, "xpos": 4, "deprel": 7}
LEXICAL_COLUMNS = {"role": 13, "function": 14}
"""Supersenses of CoNLL-U-Lex: the scene role of a preposition or possessive, and its function."""
PREPOSITION = "p."
"""How the supersense of a preposition or possessive begins."""


@dataclass(frozen=True)
class Unit:
    """What is labelled: a span of words, or two of them."""

    spans: tuple[Span, ...]
    label: str


@dataclass(frozen=True)
class AnnotatedSentence:
    """The words of a sentence and its labelled units."""

    id: str
    words: tuple[str, ...]
    units: tuple[Unit, ...]
    spaces: tuple[bool, ...] | None = None
    """Whether a space follows each word; after all of them where this is none."""
    border: int | None = None
    """The word with which a second text begins, where there are two."""

    def texts(self) -> tuple[str, ...]:
        """The words as one text, or as two."""
        return tuple(_joined(self, first, last) for first, last in self.parts())

    def parts(self) -> tuple[Span, ...]:
        """The words of each text."""
        end = len(self.words)
        return ((0, end),) if self.border is None else ((0, self.border), (self.border, end))

    def follows_space(self, word: int) -> bool:
        """Whether a space stands between a word and the one before it."""
        return self.spaces is None or self.spaces[word - 1]


def _joined(sentence: AnnotatedSentence, first: int, last: int) -> str:
    spaced = (
        f" {word}" if place > first and sentence.follows_space(place) else word
        for place, word in enumerate(sentence.words[first:last], start=first)
    )
    return "".join(spaced)


def read_annotations(path: Path, label: AnnotatedLabel) -> list[AnnotatedSentence]:
    """Sentences of a file with the units that a label is about; sentences without such units are left out.

    `upos` and `xpos` label every word, `deprel` a word and its head in this order (roots have none), `role`
    and `function` prepositions and possessives, of one word or several.

    Raises:
        ValueError: the file is missing or of no known format, has no such label, or lines are at fault.
    """
    name = path.name.removesuffix(".gz")
    if name.endswith(".jsonl"):
        sentences = _json_sentences(path, label)
    elif name.endswith(".conllu"):
        sentences = _conllu_sentences(path, label)
    elif name.endswith(".conllulex"):
        sentences = _lexical_sentences(path, label)
    else:
        raise ValueError(
            f"{path}: not a known format of annotations; known are .conllu, .conllulex and .jsonl"
        )
    if not sentences:
        raise ValueError(f"{path.name}: no sentence has a label {label!r}")
    return sentences


def sample_annotations(
    *, label: SampleLabel, num_sentences: int, seed: int, part: str
) -> list[AnnotatedSentence]:
    """Sentences of the sample corpus, different ones for each seed and part."""
    from jobs.text.sample_corpus import sample_documents

    # Documents of a part have a seed of their own: texts may recur, as sentences of a treebank do.
    documents = sample_documents(
        num_documents=num_sentences, seed=2 * seed + (part == "test"), length="short"
    )
    found = []
    for document in documents:
        for number, sentence in enumerate(document.sentences, start=1):
            match label:
                case "upos":
                    units = [Unit(((at, at + 1),), tag) for at, tag in enumerate(sentence.tags)]
                case "deprel":
                    units = [
                        Unit(((at, at + 1), (head - 1, head)), relation)
                        for at, (head, relation) in enumerate(
                            zip(sentence.heads, sentence.relations, strict=True)
                        )
                        if head
                    ]
                case "role":
                    units = [Unit(((at, at + 1),), role) for at, role in sentence.preposition_roles]
                case never:
                    assert_never(never)
            if units:
                found.append(AnnotatedSentence(f"{document.id}-{number}", sentence.tokens, tuple(units)))
    return found[:num_sentences]


def _json_sentences(path: Path, label: str) -> list[AnnotatedSentence]:
    """One unit a line: `tokens`, `span` [start, end), for pairs `span2`, and the label under its own name.

    Lines with the same `sent_id` and tokens are one sentence.
    """
    units: dict[tuple[str, tuple[str, ...]], list[Unit]] = {}
    faults = []
    for number, fields in records(path, ["tokens", "span", label]):
        reason = _fault_of(fields, label)
        if reason is not None:
            faults.append(f"{path.name}:{number}: {reason}")
            continue
        sentence = str(fields.get("sent_id", number)), tuple(fields["tokens"])
        spans = tuple(tuple(fields[name]) for name in ("span", "span2") if name in fields)
        units.setdefault(sentence, []).append(Unit(spans, fields[label]))
    if faults:
        raise ValueError(listed(faults))
    return [AnnotatedSentence(name, words, tuple(of)) for (name, words), of in units.items()]


def _fault_of(fields: Mapping[str, Any] | Fault, label: str) -> str | None:
    if isinstance(fields, Fault):
        return fields.reason
    words = fields.get("tokens")
    if not isinstance(words, list) or not words or not all(isinstance(w, str) and w.strip() for w in words):
        return f"tokens must be a list of words{lacking('tokens', fields)}"
    for name in ("span", "span2"):
        if name == "span2" and name not in fields:
            continue
        match fields.get(name):
            case [int(first), int(last)] if 0 <= first < last <= len(words):
                pass
            case other:
                return (
                    f"{name} must be [first word, word after the last] of {len(words)} words, not {other!r}"
                )
    value = fields.get(label)
    if not isinstance(value, str) or not value.strip():
        return f"no label{lacking(label, fields)}"
    return None


def _conllu_sentences(path: Path, label: str) -> list[AnnotatedSentence]:
    if label not in COLUMNS:
        raise ValueError(f"{path.name}: CoNLL-U has no label {label!r}: choose {', '.join(COLUMNS)}")
    column = COLUMNS[label]

    def units_of(rows: Sequence[Sequence[str]]) -> Iterator[Unit]:
        for at, fields in enumerate(rows):
            if label != "deprel":
                yield Unit(((at, at + 1),), fields[column])
            elif (head := int(fields[6])) > 0:
                yield Unit(((at, at + 1), (head - 1, head)), fields[column])

    return _sentences(path, num_columns=10, units_of=units_of)


def _lexical_sentences(path: Path, label: str) -> list[AnnotatedSentence]:
    if label not in LEXICAL_COLUMNS:
        known = ", ".join(LEXICAL_COLUMNS)
        raise ValueError(f"{path.name}: CoNLL-U-Lex has no label {label!r} here: choose {known}")
    column = LEXICAL_COLUMNS[label]

    def units_of(rows: Sequence[Sequence[str]]) -> Iterator[Unit]:
        for at, fields in enumerate(rows):
            if not fields[column].startswith(PREPOSITION):
                continue
            group = fields[10].partition(":")[0]
            members = (
                [at]
                if group == "_"
                else [place for place, other in enumerate(rows) if other[10].partition(":")[0] == group]
            )
            if members == list(range(members[0], members[-1] + 1)):  # an expression with a gap is no span
                yield Unit(((members[0], members[-1] + 1),), fields[column].removeprefix(PREPOSITION))

    return _sentences(path, num_columns=19, units_of=units_of)


def _sentences(
    path: Path, *, num_columns: int, units_of: Callable[[Sequence[Sequence[str]]], Iterator[Unit]]
) -> list[AnnotatedSentence]:
    """Sentences of tab-separated lines; ranges (3-4) and empty nodes (5.1) are no words."""
    found, faults = [], []
    name, rows, began = "", [], 0

    def close() -> None:
        nonlocal name, rows
        if rows:
            reason = _fault_of_rows(rows)
            if reason is not None:
                faults.append(f"{path.name}:{began}: {reason}")
            elif units := tuple(units_of(rows)):
                found.append(AnnotatedSentence(name or str(began), tuple(row[1] for row in rows), units))
        name, rows = "", []

    for number, line in numbered_lines(path):
        if isinstance(line, Fault):
            faults.append(f"{path.name}:{number}: {line.reason}")
            continue
        line = line.rstrip("\r\n")
        if not line.strip():
            close()
        elif line.startswith("#"):
            key, _, value = line[1:].partition("=")
            name = value.strip() if key.strip() == "sent_id" else name
        else:
            fields = line.split("\t")
            if len(fields) != num_columns:
                faults.append(f"{path.name}:{number}: {len(fields)} fields between tabs, not {num_columns}")
            elif fields[0].isdigit():
                began = began if rows else number
                rows.append(fields)
    close()
    if faults:
        raise ValueError(listed(faults))
    return found


def _fault_of_rows(rows: Sequence[Sequence[str]]) -> str | None:
    numbers = [int(fields[0]) for fields in rows]
    if numbers != list(range(1, len(rows) + 1)):
        return f"words are numbered {', '.join(map(str, numbers[:5]))}..., not from 1 without a gap"
    for fields in rows:
        if not fields[6].isdigit() or int(fields[6]) > len(rows):
            return f"the head of word {fields[0]} must be 0 to {len(rows)}, not {fields[6]!r}"
    return None
