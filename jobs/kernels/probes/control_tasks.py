"""Control tasks (Hewitt and Liang 2019): labels that a probe can only memorise.

Each type (such as a word) gets one random label for all its occurrences. The probe's accuracy on these labels
shows how much of its accuracy on the real labels may be memorisation.

Axes: N examples, C classes.
"""

import numpy as np
from numpy.typing import ArrayLike


def control_labels(types: ArrayLike, train_labels: ArrayLike, *, num_classes: int, seed: int) -> np.ndarray:
    """A label for each example, sampled for its type from the distribution of `train_labels`: int64 (N,).

    A type's label depends on its id, the distribution and the seed, not on the other types, so train and test
    agree when each is labelled separately with the same `train_labels`. Raises ValueError unless types are
    integers of at least 0 and labels are in 0..num_classes - 1.
    """
    types_N, train_labels_N = np.asarray(types), np.asarray(train_labels)
    if types_N.ndim != 1 or not np.issubdtype(types_N.dtype, np.integer) or (types_N < 0).any():
        raise ValueError("types must be a list of integers of at least 0, one for each example.")
    if not len(train_labels_N) or train_labels_N.min() < 0 or train_labels_N.max() >= num_classes:
        raise ValueError(f"train labels must be one or more integers in 0 to {num_classes - 1}.")
    distinct, positions_N = np.unique(types_N, return_inverse=True)
    drawn = np.array([np.random.default_rng([seed, type_id]).random() for type_id in distinct.tolist()])
    shares_C = np.bincount(train_labels_N, minlength=num_classes) / len(train_labels_N)
    # Without the last bound, so that rounding of the sum cannot leave a gap below 1.
    bounds_C = np.cumsum(shares_C)[: train_labels_N.max()]
    return np.searchsorted(bounds_C, drawn, side="right")[positions_N].astype(np.int64)
