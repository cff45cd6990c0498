"""Which tokens of a text or pair are kept: head, tail, both ends, or windows (Sun et al. 2019, 5.3.1)."""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Literal, assert_never

from layerscope.jobs.specs.recipe import Truncation
from layerscope.jobs.text.tokenising.special_tokens import Frame, frame_of
from layerscope.jobs.text.tokenising.text_windows import part_windows

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TEXTS_AT_ONCE = 64
"""Encodings held in memory together; that of a long text is far larger than its ids."""


Parts = tuple[Sequence[int], ...]
"""Token ids of an example's texts, without special tokens: one text, or the two of a pair."""


@dataclass(frozen=True)
class EncodedTexts:
    """Token ids of texts in order, including special tokens, and how many texts were truncated."""

    input_ids: list[list[int]]
    """Token ids of each text; windows are concatenated."""
    num_cut: int
    """Texts that lost tokens."""
    tokens_lost: int
    type_ids: list[list[int]] | None = None
    """Token types of pairs."""
    window_lengths: list[list[int]] | None = None
    """Tokens of each window of each text under `windows`, and of each sequence of examples with several."""


@dataclass(frozen=True)
class _Kept:
    windows: list[Parts]
    num_lost: int


def encode(
    texts: Sequence[str],
    tokenizer: "Tokenizer",
    *,
    strategy: Truncation | Literal["whole"],
    max_length: int | None,
    head_tokens: int | None = None,
    pairs: Sequence[str] | None = None,
    window_overlap: int = 0,
    max_windows: int = 1,
) -> EncodedTexts:
    """Encode each text whole, truncate its body to fit, and add the special tokens.

    In a pair that is too long, the longer text is truncated until both are equally long, then both.

    Args:
        tokenizer: From `load_tokenizer`, so that it does not cut or pad by itself.
        max_length: Tokens of one text, special tokens included; not used by `whole`, which never cuts.
        head_tokens: As in `cut`; of a pair, of each text as far as it is left as many tokens and one more.
        pairs: Second texts, where the examples are pairs.
        window_overlap, max_windows: As in `windows.windows_of`.
    """
    assert tokenizer.truncation is None and tokenizer.padding is None, "load_tokenizer switches both off"
    frame = frame_of(tokenizer, num_parts=1 if pairs is None else 2)
    budget = None if strategy == "whole" else token_budget(max_length, num_special=frame.num_special)
    bodies = [bodies_of(part, tokenizer) for part in (texts, pairs) if part is not None]
    kept = [
        _kept(
            parts,
            budget=budget,
            strategy=strategy,
            head_tokens=head_tokens,
            overlap=window_overlap,
            most=max_windows,
        )
        for parts in zip(*bodies, strict=True)
    ]
    return EncodedTexts(
        input_ids=[_laid_end_to_end(map(frame.ids, one.windows)) for one in kept],
        num_cut=sum(one.num_lost > 0 for one in kept),
        tokens_lost=sum(one.num_lost for one in kept),
        type_ids=None if pairs is None else [_laid_end_to_end(map(frame.types, one.windows)) for one in kept],
        window_lengths=_lengths(kept, frame) if strategy == "windows" else None,
    )


def end_to_end(encoded: EncodedTexts, num_sequences: Sequence[int]) -> EncodedTexts:
    """So many sequences each as those of one example, one after the other."""
    borders = [0, *accumulate(num_sequences)]
    parts = [slice(first, last) for first, last in pairwise(borders)]
    return replace(
        encoded,
        input_ids=[_laid_end_to_end(encoded.input_ids[part]) for part in parts],
        type_ids=None
        if encoded.type_ids is None
        else [_laid_end_to_end(encoded.type_ids[part]) for part in parts],
        window_lengths=[[len(ids) for ids in encoded.input_ids[part]] for part in parts],
    )


def _kept(
    parts: Parts,
    *,
    budget: int | None,
    strategy: Truncation | Literal["whole"],
    head_tokens: int | None,
    overlap: int,
    most: int,
) -> _Kept:
    if strategy == "whole" or budget is None:
        return _Kept([parts], 0)
    if strategy == "windows":
        return _Kept(*part_windows(parts, budget=budget, overlap=overlap, most=most))
    if len(parts) == 1:
        kept: Parts = (cut(parts[0], budget=budget, strategy=strategy, head_tokens=head_tokens),)
    else:
        shares = longest_first(len(parts[0]), len(parts[1]), budget=budget)
        kept = tuple(
            cut(
                part,
                budget=share,
                strategy=strategy,
                head_tokens=None if head_tokens is None else min(head_tokens, share - 1),
            )
            for part, share in zip(parts, shares, strict=True)
        )
    return _Kept([kept], sum(map(len, parts)) - sum(map(len, kept)))


def _laid_end_to_end(windows: Iterable[list[int]]) -> list[int]:
    return [id for window in windows for id in window]


def _lengths(kept: Sequence[_Kept], frame: Frame) -> list[list[int]]:
    return [[frame.num_special + sum(map(len, parts)) for parts in one.windows] for one in kept]


def longest_first(len_a: int, len_b: int, *, budget: int) -> tuple[int, int]:
    """Tokens that each text of a pair may have: the longer one is cut first, as by `longest_first` of Hugging
    Face's tokenizers; where both are cut and the budget is odd, the longer (or second) has the odd token."""
    if len_a + len_b <= budget:
        return len_a, len_b
    shorter = min(len_a, len_b, budget // 2)
    return (shorter, budget - shorter) if len_a <= len_b else (budget - shorter, shorter)


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
    body_ids: Sequence[int],
    *,
    budget: int,
    strategy: Literal["head", "tail", "head+tail", "middle"],
    head_tokens: int | None = None,
) -> list[int]:
    """At most `budget` of the ids, in their order; of the halves of `middle` the head has the odd token.

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
        case "middle":
            num_head = middle_head(budget)
            return body_ids[:num_head] + body_ids[len(body_ids) - budget + num_head :]
        case "head+tail":
            num_head = -(-budget // 4) if head_tokens is None else head_tokens
            if num_head >= budget:
                raise ValueError(
                    f"head_tokens {num_head} leaves nothing for the tail: "
                    f"a text has {budget} tokens besides the special ones"
                )
            return body_ids[:num_head] + body_ids[num_head - budget :]
        case never:
            assert_never(never)


def middle_head(budget: int) -> int:
    """Tokens that `middle` keeps from the head: `head+tail` with this number of `head_tokens` is the same."""
    return -(-budget // 2)


def any_exceeds(
    texts: Sequence[str], tokenizer: "Tokenizer", limit: int, *, pairs: Sequence[str] | None = None
) -> bool:
    """Whether any text, or pair, has more than `limit` tokens, special tokens included.

    Quick: it looks at the longest texts first and leaves out those that cannot be too long (`_most_tokens`).
    """
    examples = [(text,) for text in texts] if pairs is None else list(zip(texts, pairs, strict=True))
    room = limit - frame_of(tokenizer, num_parts=1 if pairs is None else 2).num_special
    suspects = [example for example in examples if sum(map(_most_tokens, example)) > room]
    suspects.sort(key=lambda example: sum(map(len, example)), reverse=True)
    bodies = [bodies_of(part, tokenizer) for part in zip(*suspects, strict=True)]
    return any(sum(map(len, parts)) > room for parts in zip(*bodies, strict=True))


def bodies_of(texts: Sequence[str], tokenizer: "Tokenizer") -> Iterator[list[int]]:
    """Token ids of each text, without special tokens; equal texts, as before choices, have one list."""
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        group = texts[start : start + TEXTS_AT_ONCE]
        unique = list(dict.fromkeys(group))
        encodings = tokenizer.encode_batch_fast(unique, add_special_tokens=False)
        ids_by_text = {text: encoding.ids for text, encoding in zip(unique, encodings, strict=True)}
        yield from map(ids_by_text.__getitem__, group)


def count_tokens(texts: Sequence[str], tokenizer: "Tokenizer", limit: int, *, enough: int) -> int:
    """Number of tokens of all texts, each truncated to `limit`, including special tokens.

    Fast if an upper bound is at most `enough`: then the bound is returned.
    """
    num_special = frame_of(tokenizer, num_parts=1).num_special
    most = sum(min(limit, _most_tokens(text) + num_special) for text in texts)
    if most <= enough:
        return most
    return sum(min(limit, len(body) + num_special) for body in bodies_of(texts, tokenizer))


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
