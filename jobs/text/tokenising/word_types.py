"""Which units of annotated sentences are the same word."""

import hashlib
from collections.abc import Sequence

import numpy as np

from layerscope.jobs.artifacts.sentences import AnnotatedSplit

_BYTES = 7
"""Of a digest, so that it fits int64."""


def word_types(split: AnnotatedSplit, ids: Sequence[str]) -> np.ndarray:
    """A number for the words of each unit: int64 (units,), the same for the same words in any split.

    Of a pair they are those of its first span.
    """
    words_by_id = {unit.id: unit.words for unit in split.units}
    return np.array([_number(words_by_id[one]) for one in ids], dtype=np.int64)


def _number(words: str) -> int:
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:_BYTES], "big")
