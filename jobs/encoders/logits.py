"""Logits of every text of a split, computed by all processes of a gang together.

Axes: N texts, B texts of a batch, K labels.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from jobs.encoders.micro_batches import in_batches
from jobs.processes import share

BATCH_SIZE = 64


def logits_of(
    forward: Callable[[Sequence[int]], torch.Tensor], lengths: Sequence[int], accelerator: Accelerator
) -> np.ndarray:
    """Logits (N, K) of every text, on every process; where memory runs out fewer are computed at once.

    Args:
        forward: Logits (B, K) of the texts at some positions, by a model that is not training.
        lengths: Of every text: those of similar length are computed together.
    """
    own = share(sorted(range(len(lengths)), key=lengths.__getitem__), accelerator)
    with torch.inference_mode():
        batches = in_batches(own, lambda rows: forward(rows).float().tolist(), size=BATCH_SIZE)
    found = [pair for rows, logits in batches for pair in zip(rows, logits, strict=True)]
    by_row = dict(gather_object(found))
    return np.array([by_row[row] for row in range(len(lengths))])
