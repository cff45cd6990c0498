"""Which tokens of a vocabulary continue a word, and which begin one."""

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

WORD_MARKS = ("Ġ", "▁")
"""Prefix of a token that begins a word: byte-level models, SentencePiece."""


def continuing_tokens(tokenizer: "Tokenizer") -> list[bool]:
    """Whether each token, by its id, continues the word of the previous token.

    WordPiece marks tokens that do (`##ing`), other models those that begin a word (`Ġthe`, `▁the`).

    Raises:
        ValueError: no token of the vocabulary marks where words begin.
    """
    model = json.loads(tokenizer.to_str())["model"]
    token_by_id = {number: token for token, number in tokenizer.get_vocab().items()}
    tokens = [token_by_id.get(number, "") for number in range(max(token_by_id) + 1)]
    prefix = model.get("continuing_subword_prefix")
    if prefix:
        return [token.startswith(prefix) for token in tokens]
    if model["type"] == "WordLevel":
        return [False] * len(tokens)
    continues = [not token.startswith(WORD_MARKS) for token in tokens]
    if all(continues):
        raise ValueError(
            f"no token of this {model['type']} tokenizer says where a word begins, as ##ing, Ġthe and ▁the "
            "do: masking: token would be right"
        )
    return continues
