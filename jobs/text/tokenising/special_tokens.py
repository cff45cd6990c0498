"""The special tokens around a text or a pair of texts, from the tokenizer's own template.

An example's parts are the token ids of its texts: one, or two for a pair.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True)
class Frame:
    """Special tokens before, between and after the parts of an example."""

    special: tuple[tuple[int, ...], ...]
    """Ids before the first part, after it, and so on: one more than there are parts."""
    special_types: tuple[tuple[int, ...], ...]
    """Their token types (segments)."""
    part_types: tuple[int, ...]
    """Token type of each part."""

    @property
    def num_special(self) -> int:
        """Number of special tokens: for a pair 3 with BERT and 4 with RoBERTa, for a single text 2 with
        both."""
        return sum(map(len, self.special))

    def ids(self, parts: Sequence[Sequence[int]]) -> list[int]:
        """Token ids of an example."""
        return _laid_out(self.special, parts)

    def types(self, parts: Sequence[Sequence[int]]) -> list[int]:
        """Token types of an example."""
        types = [[type] * len(part) for type, part in zip(self.part_types, parts, strict=True)]
        return _laid_out(self.special_types, types)


def frame_of(tokenizer: "Tokenizer", *, num_parts: int) -> Frame:
    """The frame of single texts or of pairs.

    Raises:
        ValueError: the tokenizer has no tokens for any text.
    """
    text = _some_text(tokenizer)
    encoding = tokenizer.encode(text, text if num_parts == 2 else None)
    part_of_token = encoding.sequence_ids
    places = [
        [place for place, part in enumerate(part_of_token) if part == number] for number in range(num_parts)
    ]
    borders = [0, *chain.from_iterable((own[0], own[-1] + 1) for own in places), len(part_of_token)]
    gaps = list(zip(borders[::2], borders[1::2], strict=True))
    return Frame(
        special=tuple(tuple(encoding.ids[start:end]) for start, end in gaps),
        special_types=tuple(tuple(encoding.type_ids[start:end]) for start, end in gaps),
        part_types=tuple(encoding.type_ids[own[0]] for own in places),
    )


def _some_text(tokenizer: "Tokenizer") -> str:
    """A text that has tokens: "a", or an entry of the vocabulary if "a" has none."""

    def becomes_tokens(text: str) -> bool:
        return bool(tokenizer.encode(text, add_special_tokens=False).ids)

    if becomes_tokens("a"):
        return "a"
    for text in tokenizer.get_vocab():  # a copy of the whole vocabulary
        if becomes_tokens(text):
            return text
    raise ValueError("the tokenizer makes no token of any text")


def _laid_out(special: Sequence[Sequence[int]], parts: Sequence[Sequence[int]]) -> list[int]:
    first, *others = special
    return list(chain(first, *(chain(part, after) for part, after in zip(parts, others, strict=True))))
