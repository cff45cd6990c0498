"""Word types: which labelled spans of annotated sentences are the same word."""

import hashlib
from collections.abc import Sequence

import numpy as np

from layerscope.jobs.artifacts.sentences import AnnotatedSplit

_BYTES = 7
"""Bytes of a digest, so that it fits into int64."""


def word_types(split: AnnotatedSplit, ids: Sequence[str]) -> np.ndarray:
    """An id for the words of each labelled span: int64 (spans,), the same for the same words in any split.

    For a pair of spans it is that of the first span.
    """
    words_by_id = {unit.id: unit.words for unit in split.units}
    return np.array([_number(words_by_id[one]) for one in ids], dtype=np.int64)


def _number(words: str) -> int:
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:_BYTES], "big")
