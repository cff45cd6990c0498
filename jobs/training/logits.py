"""Logits of a split, computed by all processes of a gang together.

Axes: N what is predicted of a split, texts or units of them, B the same of a batch, K labels.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from layerscope.jobs.artifacts.tokenised import Split
from layerscope.jobs.processes import share
from layerscope.jobs.text.tokenising.inputs import groups_of_rows
from layerscope.jobs.training.micro_batches import in_batches

MOST_WINDOWS = 64
"""Texts, or windows of texts, that are scored at once."""


def logits_of(
    forward: Callable[[Sequence[int]], torch.Tensor], split: Split, accelerator: Accelerator
) -> np.ndarray:
    """Logits (N, K) on every process; where memory runs out fewer are computed at once.

    Args:
        forward: Logits (B, K) of some rows of the split, by a model that is not training.
    """
    order = sorted(range(len(split.texts)), key=lambda row: len(split.texts[row]))
    with torch.inference_mode():
        batches = [
            scored
            for rows in groups_of_rows(split, share(order, accelerator), most_windows=MOST_WINDOWS)
            for scored in in_batches(rows, forward, size=len(rows))
        ]
    found = [
        (row, part_BK.tolist())
        for rows, logits_BK in batches
        for row, part_BK in zip(rows, logits_BK.split(split.num_targets_by_row(rows)), strict=True)
    ]
    by_row = dict(gather_object(found))
    return np.concatenate([by_row[row] for row in range(len(split.texts))])
