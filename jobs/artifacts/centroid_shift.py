"""Centroid shift of a task's labels in every layer, as the shift stage writes it.

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
    """The centred shift vectors, along their two principal components in the layer."""
    plane_share_L: np.ndarray
    """Explained variance ratio of the plane; NaN if all labels shift equally."""
    nearest_before_LC: np.ndarray
    nearest_after_LC: np.ndarray
    """Each label's mean distance to the nearest other label; also NaN if the geometry is undefined."""


def write_label_shift(folder: Path, shift: LabelShift) -> None:
    """Write all fields to one file."""
    write_record(folder / SHIFT, shift)


def read_label_shift(folder: Path) -> LabelShift:
    """Read the written record."""
    return read_record(folder / SHIFT, LabelShift)
