"""Which tokens of a text are kept: its head, its tail, or both ends (Sun et al. 2019, section 5.3.1)."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from jobs.specs.recipe import Truncation
from jobs.text.tokenizer import special_tokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TEXTS_AT_ONCE = 64
"""Encodings held in memory together; a long text's costs far more than its ids."""


@dataclass(frozen=True)
class EncodedTexts:
    """Token ids of texts in their order, special tokens included, and what cutting took away."""

    input_ids: list[list[int]]
    num_cut: int
    """Texts that lost tokens."""
    tokens_lost: int


def encode(
    texts: Sequence[str],
    tokenizer: "Tokenizer",
    *,
    strategy: Truncation | Literal["whole"],
    max_length: int | None,
    head_tokens: int | None = None,
) -> EncodedTexts:
    """Encode each text whole, cut its body to fit, and put the special tokens around what is left.

    Args:
        tokenizer: From `load_tokenizer`, so that it does not cut or pad by itself.
        max_length: Tokens of one text, special tokens included; not used by `whole`, which never cuts.
        head_tokens: As in `cut`.
    """
    assert tokenizer.truncation is None and tokenizer.padding is None, "load_tokenizer switches both off"
    prefix, suffix = special_tokens(tokenizer)
    bodies = list(_bodies(texts, tokenizer))
    if strategy == "whole":
        kept = bodies
    else:
        budget = token_budget(max_length, num_special=len(prefix) + len(suffix))
        kept = [cut(body, budget=budget, strategy=strategy, head_tokens=head_tokens) for body in bodies]
    lost = [len(body) - len(part) for body, part in zip(bodies, kept, strict=True)]
    return EncodedTexts(
        input_ids=[[*prefix, *part, *suffix] for part in kept],
        num_cut=sum(count > 0 for count in lost),
        tokens_lost=sum(lost),
    )


def token_budget(max_length: int | None, *, num_special: int) -> int:
    """Tokens that a text's own body may have: 510 of BERT's 512."""
    if max_length is None:
        raise ValueError("texts are cut to a max_length, and there is none (only `whole` does without)")
    if max_length <= num_special:
        raise ValueError(
            f"max_length {max_length} leaves no room for text: "
            f"the tokenizer puts {num_special} special tokens around it"
        )
    return max_length - num_special


def cut(
    body_ids: Sequence[int], *, budget: int, strategy: Truncation, head_tokens: int | None = None
) -> list[int]:
    """At most `budget` of the ids, in their order.

    Args:
        head_tokens: Ids that `head+tail` keeps from the head; the rest of the budget comes from the tail.
            A quarter of the budget, rounded up, when not given: 128 of 510, as in the paper.
    """
    body_ids = list(body_ids)
    if len(body_ids) <= budget:
        return body_ids
    match strategy:
        case "head":
            return body_ids[:budget]
        case "tail":
            return body_ids[-budget:]
        case "head+tail":
            num_head = -(-budget // 4) if head_tokens is None else head_tokens
            if num_head >= budget:
                raise ValueError(
                    f"head_tokens {num_head} leaves nothing for the tail: "
                    f"a text has {budget} tokens besides the special ones"
                )
            return body_ids[:num_head] + body_ids[num_head - budget :]


def any_exceeds(texts: Sequence[str], tokenizer: "Tokenizer", limit: int) -> bool:
    """Whether any text has more than `limit` tokens, special tokens included.

    Quick: it looks at the longest texts first and leaves out those that cannot be too long (`_most_tokens`).
    """
    prefix, suffix = special_tokens(tokenizer)
    room = limit - len(prefix) - len(suffix)
    suspects = sorted((text for text in texts if _most_tokens(text) > room), key=len, reverse=True)
    return any(len(body) > room for body in _bodies(suspects, tokenizer))


def count_tokens(texts: Sequence[str], tokenizer: "Tokenizer", limit: int, *, enough: int) -> int:
    """Tokens of all texts when each is cut to `limit`, special ones included.

    Quick where a bound is no more than `enough`: then it is the bound that is returned.
    """
    num_special = sum(map(len, special_tokens(tokenizer)))
    most = sum(min(limit, _most_tokens(text) + num_special) for text in texts)
    if most <= enough:
        return most
    return sum(min(limit, len(body) + num_special) for body in _bodies(texts, tokenizer))


def _most_tokens(text: str) -> int:
    """A bound on the tokens of a text's body, without tokenizing it.

    Every token covers at least one byte of the normalised text, and at most one byte or mark stands in
    front of each word (the space or "▁" of byte-level and SentencePiece models), in the place of the white
    space that parts it from the word before; only the first word has none, hence the + 1. Normalising may
    lengthen a text, but no character beyond its longest normal form (`_most_bytes`). A tokenizer with a
    `Replace` rule that lengthens text, or an added token that splits words, may break the bound: `prepare`
    counts the tokens of every text again.
    """
    num_bytes = len(text) if text.isascii() else sum(map(_most_bytes, text))
    return num_bytes + 1


@cache
def _most_bytes(character: str) -> int:
    """UTF-8 bytes of the longest form that any Unicode normalisation or lower casing gives a character."""
    forms = [character, *(unicodedata.normalize(form, character) for form in ("NFC", "NFD", "NFKC", "NFKD"))]
    return max(len(cased.encode()) for form in forms for cased in (form, form.lower()))


def _bodies(texts: Sequence[str], tokenizer: "Tokenizer") -> Iterator[list[int]]:
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        group = list(texts[start : start + TEXTS_AT_ONCE])
        for encoding in tokenizer.encode_batch_fast(group, add_special_tokens=False):
            yield encoding.ids
