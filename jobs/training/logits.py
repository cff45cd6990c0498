"""Logits of a split, computed by all processes of a gang together.

Axes: N predictions of a split (one per text or labelled span), B predictions of a batch, K labels.
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
"""Maximum number of texts, or windows of texts, per forward pass."""


def logits_of(
    forward: Callable[[Sequence[int]], torch.Tensor], split: Split, accelerator: Accelerator
) -> np.ndarray:
    """Logits (N, K) on every process; batches are halved when memory runs out.

    Args:
        forward: Returns the logits (B, K) of some rows of the split, with the model in evaluation mode.
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
