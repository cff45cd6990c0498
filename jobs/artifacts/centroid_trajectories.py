"""The paths of some labels through a training in every layer, as the paths stage leaves it.

Axes: L layers, T moments from the start over the checkpoints to the end, C labels that are followed.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from layerscope.jobs.artifacts.label_arrays import read_record, write_record

PATHS = "paths.npz"


@dataclass(frozen=True)
class LabelPaths:
    """The labels that end up closest to each other in the last layer."""

    labels: tuple[str, ...]
    position_LTC2: np.ndarray
    """Their centroids, along two principal components of these labels' states in the layer at all moments."""
    share_L: np.ndarray
    """Part of the variance of these states that the plane holds; NaN where all are the same."""


def write_label_paths(folder: Path, paths: LabelPaths) -> None:
    """Write everything into one file."""
    write_record(folder / PATHS, paths)


def read_label_paths(folder: Path) -> LabelPaths:
    """What was written."""
    return read_record(folder / PATHS, LabelPaths)
