"""Batches of one training split, epoch after epoch."""

import math
from collections.abc import Sequence
from functools import lru_cache

from layerscope.jobs.text.tokenising.batches import length_bucketed_batches


class Epochs:
    """Consecutive passes over all examples, in batches of texts of similar length."""

    def __init__(self, lengths: Sequence[int], *, batch_size: int, seed: int) -> None:
        """`lengths` are the numbers of tokens of each example."""
        self.num_batches = math.ceil(len(lengths) / batch_size)
        """Number of batches of one epoch."""

        @lru_cache(maxsize=1)
        def of_epoch(epoch: int) -> list[list[int]]:
            return length_bucketed_batches(lengths, batch_size=batch_size, seed=seed, epoch=epoch)

        self._of_epoch = of_epoch

    def batch(self, number: int) -> list[int]:
        """Indices of the examples of batch `number`, counted from 0 over all epochs."""
        epoch, place = divmod(number, self.num_batches)
        return self._of_epoch(epoch)[place]
