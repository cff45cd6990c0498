"""Layers with labels prepared for a probe: validated, standardised, with a held-out part.

Axes: L layers, N examples, D features.
"""

from collections.abc import Sequence

import numpy as np

_HELD_OUT = 0.2
"""Share of each class's training examples that is held out to choose settings."""


def check_train_and_test(
    train_LND: Sequence[np.ndarray],
    train_labels: np.ndarray,
    test_LND: Sequence[np.ndarray],
    test_labels: np.ndarray,
    num_classes: int,
) -> None:
    """Raises ValueError unless both are labelled layers of one encoder."""
    check_labelled(train_LND, train_labels, "train", num_classes)
    check_labelled(test_LND, test_labels, "test", num_classes)
    if len(train_LND) != len(test_LND) or train_LND[0].shape[1] != test_LND[0].shape[1]:
        raise ValueError(
            f"train has {len(train_LND)} layers of width {train_LND[0].shape[1]} and test has "
            f"{len(test_LND)} of width {test_LND[0].shape[1]}: both must come from one encoder."
        )


def check_labelled(layers_LND: Sequence[np.ndarray], labels: np.ndarray, part: str, num_classes: int) -> None:
    """Raises ValueError unless layers are finite, of one shape, with a label in 0..num_classes-1 per row."""
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer) or not len(labels):
        raise ValueError(
            f"{part} labels must be a list of integers, got {labels.dtype} of shape {labels.shape}."
        )
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(
            f"{part} labels run from {labels.min()} to {labels.max()}: with num_classes={num_classes} "
            f"they must lie in 0 to {num_classes - 1}."
        )
    check_layers(layers_LND, len(labels), part)


def check_layers(layers_LND: Sequence[np.ndarray], num_rows: int, part: str) -> None:
    """Raises ValueError unless there are layers, all finite, of one width and with `num_rows` rows."""
    if not len(layers_LND):
        raise ValueError(f"{part} has no layers.")
    expected = (num_rows, layers_LND[0].shape[-1])
    for index, layer_ND in enumerate(layers_LND):
        if layer_ND.shape != expected:
            raise ValueError(
                f"{part} layer {index} has shape {layer_ND.shape}: with {num_rows} labels and the width "
                f"of layer 0 it must be {expected}."
            )
        if not np.isfinite(layer_ND).all():
            raise ValueError(f"{part} layer {index} has values that are not finite.")


def check_penalties(penalties: Sequence[float]) -> np.ndarray:
    """The penalties as float64; raises ValueError if there are none or one is not positive."""
    if not len(penalties) or min(penalties) <= 0:
        raise ValueError(f"penalties must be one or more positive numbers, got {tuple(penalties)}.")
    return np.asarray(penalties, dtype=np.float64)


def hold_out(labels: np.ndarray, *, seed: int) -> np.ndarray:
    """True for a fifth of each class, rounded; a class of one or two keeps all its examples.

    Raises ValueError if no example is held out.
    """
    rng = np.random.default_rng(seed)
    chosen_N = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        chosen_N[members[: round(_HELD_OUT * len(members))]] = True
    if not chosen_N.any():
        raise ValueError(
            "no class has the 3 examples from which one can be held out to choose settings on: "
            "give more examples, or to a linear probe a single penalty."
        )
    return chosen_N


def standardised(train_ND: np.ndarray, *others_ND: np.ndarray) -> list[np.ndarray]:
    """Train and the others, standardised by train's means and standard deviations, in float64."""
    mean_D, scale_D = mean_and_scale(train_ND)
    return [(part_ND - mean_D) * scale_D for part_ND in (train_ND, *others_ND)]


def mean_and_scale(train_ND: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means, and inverse standard deviations: 0 for a column that does not vary."""
    mean_D = train_ND.mean(axis=0, dtype=np.float64)
    deviation_D = train_ND.std(axis=0, dtype=np.float64)
    # Activations are float32 at best: a deviation within the rounding of the mean is noise, and dividing by
    # it would amplify the noise. Such a column is 0 in all parts.
    varies_D = deviation_D > np.finfo(np.float32).eps * np.abs(mean_D)
    return mean_D, np.divide(1, deviation_D, out=np.zeros_like(deviation_D), where=varies_D)
