"""Pairs of sentences for next-sentence prediction (Devlin et al. 2019, section 3.1).

A sentence is any stretch of a document's sentences; a pair takes as many as a block has room for.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Document = Sequence[Sequence[int]]
"""Token ids of each sentence, without special tokens."""


class NoPairsError(ValueError):
    """No document has two sentences."""


@dataclass(frozen=True)
class SentencePair:
    """Two stretches of text, without special tokens."""

    first: list[int]
    second: list[int]
    follows: bool
    """Whether the second directly follows the first; else it is from another document."""


def make_pairs(documents: Sequence[Document], *, room: int, seed: Sequence[int]) -> list[SentencePair]:
    """One epoch over the documents: each is split into segments, each segment gives one pair.

    A random half of the segments of two sentences or more is split in two at the end of a sentence: the
    second part follows the first. The first parts of the others, and documents of one sentence, are followed
    by a segment from another document. With only one document every pair is a true one.

    Args:
        room: Tokens of a pair at most; the longer part loses first, the first at its head, the second at its
            tail, so that what follows stays beside what it follows.
        seed: Another pass needs another.

    Raises:
        NoPairsError: no document has two sentences.
    """
    random = np.random.default_rng(seed)
    stretches = [
        (number, stretch) for number, one in enumerate(documents) for stretch in _stretches(one, room)
    ]
    divisible = [place for place, (_, stretch) in enumerate(stretches) if len(stretch) > 1]
    if not divisible:
        raise NoPairsError(
            f"no document among {len(documents)} has two sentences: there is no next sentence to predict; "
            "without next_sentence the texts can be trained on"
        )
    num_true = len(divisible) if len(documents) == 1 else (len(divisible) + 1) // 2
    true = set(random.permutation(divisible)[:num_true].tolist())
    pairs = []
    for place, (number, stretch) in enumerate(stretches):
        border = int(random.integers(1, len(stretch))) if len(stretch) > 1 else 1
        first, rest = _joined(stretch[:border]), _joined(stretch[border:])
        if place in true:
            pairs.append(_fitted(first, rest, room, follows=True))
        elif len(documents) > 1:
            other = int(random.integers(len(documents) - 1))
            strange = documents[other + (other >= number)]
            start = int(random.integers(len(strange)))
            pairs.append(_fitted(first, _joined(strange[start:]), room, follows=False))
    return pairs


def _stretches(document: Document, room: int) -> list[Document]:
    """Consecutive sentences that fill the room; at least two, if the document has two."""
    stretches: list[Document] = []
    start, length = 0, 0
    for end, sentence in enumerate(document, start=1):
        length += len(sentence)
        # The last sentence is not left alone: it would have no next sentence.
        if end == len(document) or (length >= room and end - start > 1 and end + 1 < len(document)):
            stretches.append(document[start:end])
            start, length = end, 0
    return stretches


def _joined(sentences: Document) -> list[int]:
    return [token for sentence in sentences for token in sentence]


def _fitted(first: list[int], second: list[int], room: int, *, follows: bool) -> SentencePair:
    num_first = min(len(first), max(room - len(second), room - room // 2))
    return SentencePair(first[len(first) - num_first :], second[: room - num_first], follows)
