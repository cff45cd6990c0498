"""How the labels of a task moved in every layer, as the shift stage leaves it.

Axes: L layers, C labels of the task.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from layerscope.jobs.artifacts.label_arrays import read_record, write_record

SHIFT = "shift.npz"


@dataclass(frozen=True)
class LabelShift:
    """NaN for a label without training examples."""

    labels: tuple[str, ...]
    norm_LC: np.ndarray
    """Distance of each label's centroid before and after fine-tuning."""
    plane_LC2: np.ndarray
    """The same shifts as vectors less their mean, along the two principal components of the layer."""
    plane_share_L: np.ndarray
    """Part of the variance of the shifts that the plane holds; NaN where all labels moved alike."""
    nearest_before_LC: np.ndarray
    nearest_after_LC: np.ndarray
    """Each label's mean distance to the nearest other one; NaN also where its geometry is not defined."""


def write_label_shift(folder: Path, shift: LabelShift) -> None:
    """Write everything into one file."""
    write_record(folder / SHIFT, shift)


def read_label_shift(folder: Path) -> LabelShift:
    """What was written."""
    return read_record(folder / SHIFT, LabelShift)
