"""Share of unknown tokens in some texts."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from layerscope.jobs.text.tokenising.tokenizer import load_tokenizer, tokenizer_memory
from layerscope.jobs.user_cache import keep, kept

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MOST_TEXTS = 500
MOST_CHARACTERS = 2_000
"""Maximum characters of a text that are checked; the rest is ignored."""


@dataclass(frozen=True)
class Unknown:
    """Unknown tokens of the checked texts."""

    num_texts: int
    """Number of checked texts."""
    num_lost: int
    """Number of texts without any known token."""
    lost: str | None
    """The first of them."""
    share: float
    """Share of unknown tokens over all texts, 0..1."""
    most: str | None
    """The text with the largest share of unknown tokens; None if there are none."""
    token: str | None
    """The unknown token; None if the tokenizer has none."""


def unknown_in(folder: Path, texts: Sequence[str], *, code: str | None = None) -> Unknown:
    """Unknown tokens of at most `MOST_TEXTS` evenly spaced texts; the result is cached.

    Args:
        code: As in `load_tokenizer`.
    """
    step = -(-len(texts) // MOST_TEXTS) or 1
    some = [text[:MOST_CHARACTERS] for text in texts[::step]]
    digest = hashlib.sha256(json.dumps(some).encode()).hexdigest()
    memory = tokenizer_memory(folder, "unknown", digest, code=code)
    try:
        return Unknown(**json.loads(kept(memory) or ""))
    except (ValueError, TypeError):  # Nothing is remembered, or it was damaged.
        found = count_unknown(some, load_tokenizer(folder, code=code))
    keep(memory, json.dumps(asdict(found)))
    return found


def count_unknown(texts: Sequence[str], tokenizer: "Tokenizer") -> Unknown:
    """Unknown tokens of all the texts."""
    unknown = _unknown_id(tokenizer)
    encoded = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    counts = [
        (0 if unknown is None else encoding.ids.count(unknown), len(encoding.ids)) for encoding in encoded
    ]
    lost = [text for text, (num_unknown, number) in zip(texts, counts, strict=True) if num_unknown == number]
    shares = [num_unknown / number if number else 0.0 for num_unknown, number in counts]
    largest = max(range(len(texts)), key=shares.__getitem__, default=None)
    return Unknown(
        num_texts=len(texts),
        num_lost=len(lost),
        lost=lost[0] if lost else None,
        share=sum(of for of, _ in counts) / max(1, sum(number for _, number in counts)),
        most=texts[largest] if largest is not None and shares[largest] else None,
        token=None if unknown is None else tokenizer.id_to_token(unknown),
    )


def _unknown_id(tokenizer: "Tokenizer") -> int | None:
    """The id of the unknown token; None if every character has tokens, as in byte-level vocabularies."""
    token = getattr(tokenizer.model, "unk_token", None)
    if token is not None:
        return tokenizer.token_to_id(token)
    if type(tokenizer.model).__name__ != "Unigram":
        return None
    found = re.search(r'"unk_id":\s*(\d+)', tokenizer.to_str())  # The library has no other access to it.
    return int(found[1]) if found else None
