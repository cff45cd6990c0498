"""Words to sub-word tokens, and which tokens a span of words became."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.text.annotations import AnnotatedSentence, Span

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True)
class EncodedUnit:
    """A unit with the tokens of its spans."""

    spans: tuple[Span, ...]
    """First token, and the one after the last, of each; special tokens are counted."""
    label: str
    words: str
    """The words of the first span, in lower case."""


@dataclass(frozen=True)
class EncodedSentence:
    """Token ids of a sentence, special tokens included, and its units."""

    id: str
    input_ids: tuple[int, ...]
    units: tuple[EncodedUnit, ...]


def encode_words(sentences: Sequence[AnnotatedSentence], tokenizer: "Tokenizer") -> list[EncodedSentence]:
    """Encode each sentence with a space between its words, which any tokenizer can take.

    A unit with a word of which no token is left is left out.
    """
    encodings = tokenizer.encode_batch([" ".join(sentence.words) for sentence in sentences])
    return [
        _encoded(sentence, encoding.ids, _tokens_of_words(sentence.words, encoding.offsets))
        for sentence, encoding in zip(sentences, encodings, strict=True)
    ]


def _encoded(
    sentence: AnnotatedSentence, input_ids: Sequence[int], tokens_of_words: Sequence[Span | None]
) -> EncodedSentence:
    units = []
    for unit in sentence.units:
        places = [tokens_of_words[first:last] for first, last in unit.spans]
        if all(place is not None for of in places for place in of):
            spans = tuple((of[0][0], of[-1][1]) for of in places)
            first, last = unit.spans[0]
            units.append(EncodedUnit(spans, unit.label, " ".join(sentence.words[first:last]).lower()))
    return EncodedSentence(sentence.id, tuple(input_ids), tuple(units))


def _tokens_of_words(words: Sequence[str], offsets: Sequence[tuple[int, int]]) -> list[Span | None]:
    """The tokens that share a character with each word; special tokens have an empty span of characters."""
    found: list[Span | None] = []
    begin = 0
    for word in words:
        end = begin + len(word)
        tokens = [at for at, (first, last) in enumerate(offsets) if first < end and last > begin]
        found.append((tokens[0], tokens[-1] + 1) if tokens else None)
        begin = end + 1
    return found
