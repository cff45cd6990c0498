"""Sample texts of a task that are likely to reveal differences between two tokenizers, and their tokens.

A sequence is one input of an encoder: one text, or the two of a pair.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from heapq import nlargest
from typing import TYPE_CHECKING

from layerscope.jobs.artifacts.token_sample import Texts, Tokenised
from layerscope.jobs.text.reading.corpora import sequences_of
from layerscope.jobs.text.reading.rows import Row
from layerscope.jobs.text.tokenising.truncation import encode

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FIRST = 16
LONGEST = 4
UNUSUAL = 48
"""Maximum sequences per split: the first, the longest, and those with a new character or mark."""
MOST_CHARACTERS = 10_000
"""Maximum characters of a text; the rest is cut off."""
MARK = re.compile(r"\[[A-Za-z_]{2,12}\]|<[^<>\s]{1,20}>")
"""Strings that look like special tokens."""


def sequences_in(rows: Sequence[Row]) -> list[Texts]:
    """All sequences that an encoder reads of some rows."""
    firsts, seconds = sequences_of(rows)
    return [(first,) for first in firsts] if seconds is None else list(zip(firsts, seconds, strict=True))


def sample_of(sequences_by_split: Mapping[str, Iterable[Texts]]) -> list[Texts]:
    """Some sequences of each split, chosen deterministically from the data."""
    found = [
        tuple(text[:MOST_CHARACTERS] for text in texts)
        for split in sorted(sequences_by_split)
        for texts in _some(list(sequences_by_split[split]))
    ]
    return list(dict.fromkeys(found))


def tokenised(sample: Sequence[Texts], tokenizer: "Tokenizer") -> list[Tokenised]:
    """The sequences as stages encode them, without truncation."""
    return [_tokenised(texts, tokenizer) for texts in sample]


def _some(sequences: list[Texts]) -> list[Texts]:
    longest = nlargest(LONGEST, range(len(sequences)), key=lambda place: sum(map(len, sequences[place])))
    places = sorted({*range(min(FIRST, len(sequences))), *longest, *_unusual(sequences)})
    return [sequences[place] for place in places]


def _unusual(sequences: list[Texts]) -> list[int]:
    seen: set[str] = set()
    found: list[int] = []
    for place, texts in enumerate(sequences):
        if len(found) == UNUSUAL:
            break
        begun = [text[:MOST_CHARACTERS] for text in texts]
        marks = (MARK.findall(text) for text in begun if "[" in text or "<" in text)
        new = set().union(*begun, *marks) - seen
        if new:
            found.append(place)
            seen |= new
    return found


def _tokenised(texts: Texts, tokenizer: "Tokenizer") -> Tokenised:
    first, *second = texts
    encoded = encode([first], tokenizer, strategy="whole", max_length=None, pairs=second or None)
    return Tokenised(texts, encoded.input_ids[0], None if encoded.type_ids is None else encoded.type_ids[0])
