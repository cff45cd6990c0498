"""Similarity maps of layers on disk, with errors, floors and bounds of their values.

Axes: A and B layers of two sides.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

SIMILARITY, ERRORS, FLOOR = "similarity.npy", "standard_errors.npy", "floor.npy"
LOW, HIGH = "low.npy", "high.npy"
UNDEFINED = "undefined.json"


@dataclass(frozen=True)
class LayerMap:
    """Similarity of the layers of two sides; NaN where undefined."""

    similarity_AB: np.ndarray
    errors_AB: np.ndarray | None = None
    """Standard errors of the values for the sampling of examples, if there is a formula."""
    floor_AB: np.ndarray | None = None
    """Expected values under random permutation of one side's examples, if there is a formula."""
    bounds_AB: tuple[np.ndarray, np.ndarray] | None = None
    """Bounds of 95 % intervals, if all cells have them and there are no errors."""
    undefined: Mapping[str, str] = field(default_factory=dict)
    """Why a layer has no value, by its side and number, such as `layer 0`."""


def write_map(folder: Path, found: LayerMap) -> None:
    """Write the values, and a file for each other field that is present."""
    np.save(folder / SIMILARITY, found.similarity_AB)
    low_AB, high_AB = found.bounds_AB or (None, None)
    of_cells = {ERRORS: found.errors_AB, FLOOR: found.floor_AB, LOW: low_AB, HIGH: high_AB}
    for name, values_AB in of_cells.items():
        if values_AB is not None:
            np.save(folder / name, values_AB)
    if found.undefined:
        (folder / UNDEFINED).write_text(json.dumps(dict(found.undefined), indent=1), encoding="utf-8")


def read_similarity(folder: Path) -> np.ndarray | None:
    """The values: float64 (A, B); None if there is no map."""
    path = folder / SIMILARITY
    return np.load(path) if path.exists() else None


def read_undefined(folder: Path) -> dict[str, str]:
    """Why layers have no values; empty if all have values."""
    path = folder / UNDEFINED
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
