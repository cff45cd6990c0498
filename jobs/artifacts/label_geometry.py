"""Distances between the labels of a task in every layer, as the geometry stage writes them.

Axes: L layers, C labels of the task.
"""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from layerscope.jobs.kernels.arrays import Floats

GEOMETRY = "geometry.npz"
PARTS = ("train", "test")


@dataclass(frozen=True)
class LabelDistances:
    """Lower and upper bounds of the distances in one part of the examples.

    NaN for a label without examples in the part, and in layers with fewer than two labels left.
    """

    least_lower_LCC: Floats
    least_upper_LCC: Floats
    """Distance of the nearest two clusters of two labels."""
    mean_lower_LCC: Floats
    mean_upper_LCC: Floats
    """Mean over the cluster pairs of two labels, as Zhou and Srikumar (2022) report; equal to the smallest
    distance if every label is one cluster."""
    nearest_lower_LC: Floats
    nearest_upper_LC: Floats
    """Each label's smallest mean distance to another label."""

    @property
    def mean(self) -> Floats:
        """Midpoint of the bounds of the mean distance: (L, C, C)."""
        return (self.mean_lower_LCC + self.mean_upper_LCC) / 2

    @property
    def nearest(self) -> Floats:
        """Midpoint of the bounds of the nearest distance: (L, C)."""
        return (self.nearest_lower_LC + self.nearest_upper_LC) / 2


@dataclass(frozen=True)
class LabelGeometry:
    """The labels of a task and their distances."""

    labels: tuple[str, ...]
    train: LabelDistances
    test: LabelDistances


def write_label_geometry(folder: Path, geometry: LabelGeometry) -> None:
    """Write all fields to one file."""
    arrays = {
        f"{part}_{field.name}": getattr(getattr(geometry, part), field.name)
        for part in PARTS
        for field in fields(LabelDistances)
    }
    np.savez(folder / GEOMETRY, labels=np.array(geometry.labels), **arrays)


def read_label_geometry(folder: Path) -> LabelGeometry:
    """Read the written geometry."""
    with np.load(folder / GEOMETRY) as file:
        parts = [
            LabelDistances(**{field.name: file[f"{part}_{field.name}"] for field in fields(LabelDistances)})
            for part in PARTS
        ]
        return LabelGeometry(tuple(file["labels"].tolist()), *parts)
