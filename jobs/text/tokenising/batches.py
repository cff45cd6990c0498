"""Batches of texts of similar length, and their padding to the longest of a batch.

Axes: B examples of a batch, T tokens.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

BATCHES_IN_WINDOW = 16
"""Texts are sorted by length only within this many batches, so that epochs still differ."""


def length_bucketed_batches(
    lengths: Sequence[int], *, batch_size: int, seed: int, epoch: int
) -> list[list[int]]:
    """Shuffled batches of all example positions, each once, over all processes together.

    The same arguments give the same batches on every rank: rank r of n takes `batch[r::n]`. A batch is sorted
    by length, so the ranks' parts have similar lengths. A remainder is one shorter batch.
    """
    length_N = np.asarray(lengths)
    example_key, batch_key = np.random.SeedSequence((seed, epoch)).spawn(2)
    shuffled_N = _shuffled(len(length_N), example_key)
    window = BATCHES_IN_WINDOW * batch_size
    by_length_N = np.concatenate(
        [
            part[np.argsort(length_N[part], kind="stable")]
            for part in np.split(shuffled_N, range(window, len(shuffled_N), window))
        ]
    )
    batches = np.split(by_length_N, range(batch_size, len(length_N), batch_size))
    return [batches[position].tolist() for position in _shuffled(len(batches), batch_key)]


def pad(sequences: Sequence[Sequence[int]], pad_id: int) -> tuple["torch.Tensor", "torch.Tensor"]:
    """`input_ids_BT`, padded with `pad_id` on the right, and `attention_mask_BT`, 1 on tokens; int64."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    ids = [torch.tensor(sequence, dtype=torch.int64) for sequence in sequences]
    input_ids_BT = pad_sequence(ids, batch_first=True, padding_value=pad_id)
    attention_mask_BT = pad_sequence([torch.ones_like(one) for one in ids], batch_first=True)
    return input_ids_BT, attention_mask_BT


def _shuffled(number: int, seed: np.random.SeedSequence) -> np.ndarray:
    """A permutation from raw output of PCG64, which NumPy keeps the same on every platform."""
    return np.argsort(np.random.PCG64(seed).random_raw(number), kind="stable")
