"""Maps of layers by layers on disk, with what belongs to their values.

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
    """How alike the layers of two sides are; NaN where that is undefined."""

    similarity_AB: np.ndarray
    errors_AB: np.ndarray | None = None
    """Standard errors of the values over the choice of examples, where there is a formula."""
    floor_AB: np.ndarray | None = None
    """What they would be on average were the examples of one side shuffled, where there is a formula."""
    bounds_AB: tuple[np.ndarray, np.ndarray] | None = None
    """Lower and upper ends of 95 % intervals, where they are known of all cells but no errors are."""
    undefined: Mapping[str, str] = field(default_factory=dict)
    """Why a layer has no value, by its side and number, as `layer 0`."""


def write_map(folder: Path, found: LayerMap) -> None:
    """Write the values, and a file for whatever else there is."""
    np.save(folder / SIMILARITY, found.similarity_AB)
    low_AB, high_AB = found.bounds_AB or (None, None)
    of_cells = {ERRORS: found.errors_AB, FLOOR: found.floor_AB, LOW: low_AB, HIGH: high_AB}
    for name, values_AB in of_cells.items():
        if values_AB is not None:
            np.save(folder / name, values_AB)
    if found.undefined:
        (folder / UNDEFINED).write_text(json.dumps(dict(found.undefined), indent=1), encoding="utf-8")


def read_similarity(folder: Path) -> np.ndarray | None:
    """The values: float64 (A, B); nothing where there is no map."""
    path = folder / SIMILARITY
    return np.load(path) if path.exists() else None


def read_undefined(folder: Path) -> dict[str, str]:
    """Why layers have no values; empty where all have."""
    path = folder / UNDEFINED
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
