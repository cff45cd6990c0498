"""Centroid trajectories of some labels along a training in every layer, as the paths stage writes them.

Axes: L layers, T steps (base model, checkpoints, final model), C labels.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from layerscope.jobs.artifacts.label_arrays import read_record, write_record

PATHS = "paths.npz"


@dataclass(frozen=True)
class LabelPaths:
    """Trajectories of the labels that are closest to each other in the last layer at the end."""

    labels: tuple[str, ...]
    position_LTC2: np.ndarray
    """Their centroids, along two principal components of these labels' states in the layer over all steps."""
    share_L: np.ndarray
    """Explained variance ratio of the plane; NaN if all states are equal."""


def write_label_paths(folder: Path, paths: LabelPaths) -> None:
    """Write all fields to one file."""
    write_record(folder / PATHS, paths)


def read_label_paths(folder: Path) -> LabelPaths:
    """Read the written record."""
    return read_record(folder / PATHS, LabelPaths)
