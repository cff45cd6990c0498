"""Control tasks (Hewitt and Liang 2019): labels that a probe can only learn by heart.

Each type (a word, say) gets one label at random, wherever it occurs. How well a probe learns them says how
much of its accuracy on the real labels needs no knowledge in the representations.

Axes: N examples, C classes, L layers.
"""

from collections.abc import Sequence

import numpy as np

from layerscope.jobs.kernels.probes.probe_result import ProbeResult


def control_labels(
    types_N: Sequence[int], train_labels: Sequence[int], *, num_classes: int, seed: int
) -> np.ndarray:
    """A label for each example, sampled for its type from the distribution of `train_labels`: int64 (N,).

    A type's label depends on its id, the shares and the seed, not on the other types, so train and test agree
    when each is labelled by itself with the labels of train. Raises ValueError unless types are integers of
    at least 0 and labels lie in 0..num_classes - 1.
    """
    types_N, train_labels = np.asarray(types_N), np.asarray(train_labels)
    if types_N.ndim != 1 or not np.issubdtype(types_N.dtype, np.integer) or (types_N < 0).any():
        raise ValueError("types must be a list of integers of at least 0, one for each example.")
    if not len(train_labels) or train_labels.min() < 0 or train_labels.max() >= num_classes:
        raise ValueError(f"train labels must be one or more integers in 0 to {num_classes - 1}.")
    distinct, positions_N = np.unique(types_N, return_inverse=True)
    drawn = np.array([np.random.default_rng([seed, type_id]).random() for type_id in distinct.tolist()])
    shares_C = np.bincount(train_labels, minlength=num_classes) / len(train_labels)
    # The last class in train takes what rounding leaves of 1.
    bounds_C = np.cumsum(shares_C)[: train_labels.max()]
    return np.searchsorted(bounds_C, drawn, side="right")[positions_N].astype(np.int64)


def selectivity(probe: ProbeResult, control: ProbeResult) -> np.ndarray:
    """Accuracy on the labels minus accuracy on the control's, layer by layer: (L,).

    Both probes are of one kind and read the same layers.
    """
    if len(probe.accuracy_L) != len(control.accuracy_L):
        raise ValueError(
            f"the probe has {len(probe.accuracy_L)} layers and its control {len(control.accuracy_L)}: both "
            "must read the same layers."
        )
    return probe.accuracy_L - control.accuracy_L
