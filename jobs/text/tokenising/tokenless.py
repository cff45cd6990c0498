"""Texts without any token, for tokenizers that add no special tokens."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

from layerscope.jobs.text.tokenising.special_tokens import frame_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def tokenless(sequences: Sequence[tuple[str, ...]], tokenizer: "Tokenizer") -> Iterator[int]:
    """Positions of the sequences, each of one or two texts, that have no tokens for an encoder.

    Quick: a text with a character that is a token by itself is not tokenized. A rule of the tokenizer's that
    takes such characters away together with others is seen by `prepare`, which tokenizes every text.
    """
    if not sequences or frame_of(tokenizer, num_parts=len(sequences[0])).num_special:
        return

    @cache
    def leaves_some(text: str) -> bool:
        return bool(tokenizer.encode(text, add_special_tokens=False).ids)

    for place, texts in enumerate(sequences):
        if not any(any(map(leaves_some, text)) or leaves_some(text) for text in texts):
            yield place
