"""The same point under different labels: refused, dropped, or decided by the majority.

Axes: N rows, D coordinates, G groups of rows with the same point, C labels.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

Duplicates = Literal["refuse", "drop", "majority"]


@dataclass(frozen=True)
class Consistent:
    is_kept_N: np.ndarray
    label_N: np.ndarray
    """The labels of all rows, after the majority's decision."""

    changed_rows: np.ndarray
    """Rows that were dropped or given another label."""


def without_contradictions(points_ND: np.ndarray, label_N: np.ndarray, duplicates: Duplicates) -> Consistent:
    """Resolve points with several labels, which no hyperplane separates. A tie gives the lowest label.

    Raises ValueError that lists some of the rows if duplicates are refused.
    """
    group_N = same_points(points_ND)
    labels_C, class_N = np.unique(label_N, return_inverse=True)
    votes_GC = np.zeros((group_N.max() + 1, len(labels_C)), dtype=np.intp)
    np.add.at(votes_GC, (group_N, class_N), 1)
    is_contradicted_N = ((votes_GC > 0).sum(axis=1) > 1)[group_N]
    rows = np.flatnonzero(is_contradicted_N)
    if not len(rows) or duplicates == "drop":
        return Consistent(~is_contradicted_N, label_N, rows)
    if duplicates == "majority":
        majority_N = labels_C[votes_GC.argmax(axis=1)[group_N]]
        return Consistent(np.ones_like(is_contradicted_N), majority_N, np.flatnonzero(majority_N != label_N))
    first = np.flatnonzero(group_N == group_N[rows[0]])
    raise ValueError(
        f"{len(rows)} rows have the same point as a row of another label, for example rows {listed(first)} "
        f"with labels {listed(label_N[first])}: drop them or give them one label (duplicates='drop' or "
        "'majority')."
    )


def same_points(points_ND: np.ndarray) -> np.ndarray:
    """A number for each row, equal for identical points; numbered by first occurrence."""
    number_by_row: dict[bytes, int] = {}
    # Adding 0 turns -0 into 0. Hashing each row's bytes is faster than sorting, which compares columns.
    return np.array([number_by_row.setdefault(row.tobytes(), len(number_by_row)) for row in points_ND + 0.0])


def listed(values: np.ndarray) -> str:
    """The first values, for a message."""
    return ", ".join(str(value) for value in values[:8].tolist()) + (", ..." if len(values) > 8 else "")
