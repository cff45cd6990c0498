"""Annotated sentences: their words, and the labels of single words, pairs of words and spans of words.

Read from CoNLL-U (Universal Dependencies), CoNLL-U-Lex (STREUSLE) and JSON lines, every bad line refused with
its file and number; and made by the sample corpus's generator.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

from layerscope.jobs.artifacts.tokenised import Span
from layerscope.jobs.specs.annotations import AnnotatedLabel, SampleLabel
from layerscope.jobs.text.reading.data_faults import Fault, Note, Noted, lacking, listed
from layerscope.jobs.text.reading.lines import has_suffix, numbered_lines
from layerscope.jobs.text.reading.row_faults import unwritable
from layerscope.jobs.text.reading.text_formats import records

COLUMNS = {"upos": 3, "xpos": 4, "deprel": 7}
HEAD = 6
NAMES = ["ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC"]
"""Columns of CoNLL-U, which CoNLL-U Plus may have in another order."""
LEXICAL_COLUMNS = {"role": 13, "function": 14}
"""Supersenses of CoNLL-U-Lex: the scene role of a preposition or possessive, and its function."""
PREPOSITION = "p."
"""How the supersense of a preposition or possessive begins."""
UNSPECIFIED = "_"
"""What stands in a column of which nothing is said: no class."""
ID = re.compile(r"(\d+)|\d+-\d+|\d+\.\d+", re.ASCII)
"""A word, a range of words (3-4) or an empty node (5.1)."""


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
    and `function` prepositions and possessives, of one word or several. Where a column of CoNLL-U has `_`,
    there is no unit.

    Raises:
        ValueError: the file is missing or of no known format, has no such label, or lines are at fault.
    """
    return noted_annotations(path, label).found


def noted_annotations(path: Path, label: AnnotatedLabel) -> Noted[AnnotatedSentence]:
    """As `read_annotations`; the notes say how many words have no label."""
    num_unspecified = 0
    if has_suffix(path, ".jsonl"):
        sentences = _json_sentences(path, label)
    elif has_suffix(path, ".conllu"):
        sentences, num_unspecified = _conllu_sentences(path, label)
    elif has_suffix(path, ".conllulex"):
        sentences = _lexical_sentences(path, label)
    else:
        raise ValueError(
            f"{path}: not a known format of annotations; known are .conllu, .conllulex and .jsonl"
        )
    if not sentences:
        blank = f": all {num_unspecified:,} words have {UNSPECIFIED} there" if num_unspecified else ""
        raise ValueError(f"{path.name}: no sentence has a label {label!r}{blank}")
    notes = [f"{path.name}: {num_unspecified:,} words have no {label} ({UNSPECIFIED}), and are left out"]
    return Noted(sentences, tuple(notes if num_unspecified else ()))


def sample_annotations(
    *, label: SampleLabel, num_sentences: int, seed: int, part: str
) -> list[AnnotatedSentence]:
    """Sentences of the sample corpus, different ones for each seed and part."""
    from layerscope.jobs.text.sample_corpus.sample_documents import sample_documents

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
        if isinstance(fields, Fault | Note):
            faults.append(f"{path.name}:{number}: {fields.reason}")
        elif reason := _fault_of(fields, label):
            faults.append(f"{path.name}:{number}: {reason}")
        else:
            sentence = str(fields.get("sent_id", number)), tuple(fields["tokens"])
            spans = tuple(tuple(fields[name]) for name in ("span", "span2") if name in fields)
            units.setdefault(sentence, []).append(Unit(spans, fields[label]))
    if faults:
        raise ValueError(listed(faults))
    return [AnnotatedSentence(name, words, tuple(of)) for (name, words), of in units.items()]


def _fault_of(fields: Mapping[str, Any], label: str) -> str | None:
    words = fields.get("tokens")
    if not isinstance(words, list) or not words or not all(isinstance(w, str) and w.strip() for w in words):
        return f"tokens must be a list of words{lacking('tokens', fields)}"
    if reason := unwritable("word", " ".join(words)) or unwritable("sent_id", str(fields.get("sent_id"))):
        return reason
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
    return unwritable("label", value)


def _conllu_sentences(path: Path, label: str) -> tuple[list[AnnotatedSentence], int]:
    """Sentences, and how many words have no such label."""
    if label not in COLUMNS:
        raise ValueError(f"{path.name}: CoNLL-U has no label {label!r}: choose {', '.join(COLUMNS)}")
    column = COLUMNS[label]
    num_unspecified = 0

    def units_of(rows: Sequence[Sequence[str]]) -> Iterator[Unit]:
        nonlocal num_unspecified
        for at, fields in enumerate(rows):
            if fields[column] == UNSPECIFIED:
                num_unspecified += 1
            elif label != "deprel":
                yield Unit(((at, at + 1),), fields[column])
            elif (head := int(fields[HEAD])) > 0:
                yield Unit(((at, at + 1), (head - 1, head)), fields[column])

    sentences = _sentences(path, num_columns=10, read=column, units_of=units_of)
    return sentences, num_unspecified


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

    return _sentences(path, num_columns=19, read=column, units_of=units_of)


def _sentences(
    path: Path,
    *,
    num_columns: int,
    read: int,
    units_of: Callable[[Sequence[Sequence[str]]], Iterator[Unit]],
) -> list[AnnotatedSentence]:
    """Sentences of tab-separated lines with the units of one column; only relations need heads."""
    found, faults = [], []
    names: list[str] = []
    rows: list[list[str]] = []
    began = 0

    def close() -> None:
        nonlocal names, rows
        if rows:
            reason = _fault_of_rows(rows, names, read)
            if reason is not None:
                faults.append(f"{path.name}:{began}: {reason}")
            elif units := tuple(units_of(rows)):
                name = "".join(names) or str(began)
                found.append(AnnotatedSentence(name, tuple(row[1] for row in rows), units))
        names, rows = [], []

    for number, line in numbered_lines(path):
        if isinstance(line, Fault):
            faults.append(f"{path.name}:{number}: {line.reason}")
            continue
        line = line.rstrip("\r\n")
        if not line.strip():
            close()
        elif line.startswith("#"):
            key, _, value = line[1:].partition("=")
            if key.strip() == "sent_id":
                names.append(value.strip())
            elif key.strip() == "global.columns" and value.split()[:10] != NAMES:
                faults.append(f"{path.name}:{number}: columns are {value.strip()}, not {' '.join(NAMES)}")
        else:
            fields = line.split("\t")
            if reason := _fault_of_line(fields, num_columns):
                faults.append(f"{path.name}:{number}: {reason}")
            elif fields[0].isdigit():
                began = began if rows else number
                rows.append(fields)
    close()
    if faults:
        raise ValueError(listed(faults))
    return found


def _fault_of_line(fields: Sequence[str], num_columns: int) -> str | None:
    if len(fields) != num_columns:
        hint = "; put tabs in place of the spaces" if len(fields) == 1 and len(fields[0].split()) > 1 else ""
        return f"{len(fields)} fields between tabs, not {num_columns}{hint}"
    if any("\r" in field for field in fields):
        return "a carriage return (\\r) in the midst of the line: end lines in a line feed (\\n)"
    if not ID.fullmatch(fields[0]):
        return f"{fields[0]!r} is no number of a word (1), of a range (1-2) or of an empty node (1.1)"
    return None


def _fault_of_rows(rows: Sequence[Sequence[str]], names: Sequence[str], read: int) -> str | None:
    numbers = [int(fields[0]) for fields in rows]
    if numbers != list(range(1, len(rows) + 1)):
        return f"words are numbered {', '.join(map(str, numbers[:5]))}..., not from 1 without a gap"
    if len(names) > 1:
        return f"the sentence has {len(names)} names (sent_id): {', '.join(names)}"
    for fields in rows:
        if not fields[1].strip():
            return f"word {fields[0]} is empty"
        if not fields[read].strip():
            return f"the label of word {fields[0]} is empty: {UNSPECIFIED} stands where nothing is said"
        if (
            read == COLUMNS["deprel"]
            and fields[read] != UNSPECIFIED
            and not _is_head(fields[HEAD], len(rows))
        ):
            return f"the head of word {fields[0]} must be 0 to {len(rows)}, not {fields[HEAD]!r}"
    return None


def _is_head(written: str, num_words: int) -> bool:
    return bool(re.fullmatch(r"\d+", written, re.ASCII)) and int(written) <= num_words
