"""Linear probes: how well the labels can be read off each layer, all layers and penalties trained together.

Axes: L layers, N examples, D features, G penalties.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from jobs.numerics.logistic import fit_logistic, predict_classes

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)

_HELD_OUT = 0.2
"""Part of the train examples of each class that the penalty is chosen on."""


@dataclass(frozen=True)
class ProbeResult:
    """What the probes of all layers said about the test examples."""

    accuracy_L: np.ndarray
    macro_f1_L: np.ndarray
    """Mean F1 over the classes that occur in the test labels or in the layer's predictions."""
    penalty_L: np.ndarray
    """The penalty chosen for each layer; of equally accurate ones the strongest."""
    majority_accuracy: float
    """What always answering the most frequent train label scores on test."""
    predictions_LN: np.ndarray
    """Predicted class of each test example, int64."""


def linear_probes(
    train_LND: Sequence[np.ndarray],
    train_labels: Sequence[int],
    test_LND: Sequence[np.ndarray],
    test_labels: Sequence[int],
    *,
    penalties: Sequence[float] = PENALTIES,
    num_classes: int,
    seed: int,
    device: str = "cpu",
) -> ProbeResult:
    """Multinomial logistic regression on each layer, with an L2 penalty chosen per layer.

    The penalty is chosen on a fifth of each class, drawn by `seed` from train; the probe is then fitted on
    all of train. Features are standardised per layer by the mean and deviation of the examples fitted on. The
    objective is the mean cross-entropy plus penalty / 2 times the sum of squared weights, intercepts left
    free, solved to 1e-5 of itself (scikit-learn's C is 1 / (penalty * number of examples)). It has one
    minimum, so a layer's result does not depend on the layers beside it. A class that train does not show is
    never predicted; a layer that is the same for all examples predicts the majority.

    Labels are integers in 0..num_classes - 1, layers are (examples, features) of one width. Raises ValueError
    for anything else, for values that are not finite, and where nothing can be held out to choose a penalty.
    """
    train_labels, test_labels = np.asarray(train_labels), np.asarray(test_labels)
    _check(train_LND, train_labels, "train", num_classes)
    _check(test_LND, test_labels, "test", num_classes)
    if len(train_LND) != len(test_LND) or train_LND[0].shape[1] != test_LND[0].shape[1]:
        raise ValueError(
            f"train has {len(train_LND)} layers of width {train_LND[0].shape[1]} and test has "
            f"{len(test_LND)} of width {test_LND[0].shape[1]}: both must come from one encoder."
        )
    if not len(penalties) or min(penalties) <= 0:
        raise ValueError(f"penalties must be one or more positive numbers, got {tuple(penalties)}.")

    penalty_L = _choose_penalties(train_LND, train_labels, penalties, seed, device)
    predictions_LN = _fit_and_predict(train_LND, train_labels, test_LND, penalty_L[:, None], device)[:, 0]
    majority = np.bincount(train_labels).argmax()
    return ProbeResult(
        accuracy_L=(predictions_LN == test_labels).mean(axis=1),
        macro_f1_L=np.array([_macro_f1(test_labels, row_N, num_classes) for row_N in predictions_LN]),
        penalty_L=penalty_L,
        majority_accuracy=float((test_labels == majority).mean()),
        predictions_LN=predictions_LN,
    )


def _check(layers_LND: Sequence[np.ndarray], labels: np.ndarray, part: str, num_classes: int) -> None:
    if not len(layers_LND):
        raise ValueError(f"{part} holds no layers.")
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer) or not len(labels):
        raise ValueError(
            f"{part} labels must be a list of integers, got {labels.dtype} of shape {labels.shape}."
        )
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(
            f"{part} labels run from {labels.min()} to {labels.max()}: with num_classes={num_classes} "
            f"they must lie in 0 to {num_classes - 1}."
        )
    expected = (len(labels), layers_LND[0].shape[-1])
    for index, layer_ND in enumerate(layers_LND):
        if layer_ND.shape != expected:
            raise ValueError(
                f"{part} layer {index} has shape {layer_ND.shape}: with {len(labels)} labels and the width "
                f"of layer 0 it must be {expected}."
            )
        if not np.isfinite(layer_ND).all():
            raise ValueError(f"{part} layer {index} holds values that are not finite.")


def _choose_penalties(
    layers_LND: Sequence[np.ndarray],
    labels: np.ndarray,
    penalties: Sequence[float],
    seed: int,
    device: str,
) -> np.ndarray:
    """The penalty with the best accuracy on held-out examples, per layer."""
    strongest_first = np.sort(np.asarray(penalties, dtype=np.float64))[::-1]
    if len(strongest_first) == 1:
        return np.repeat(strongest_first, len(layers_LND))
    held_out_N = _stratified_part(labels, np.random.default_rng(seed))
    if not held_out_N.any():
        raise ValueError(
            "no class has the 3 examples from which one can be held out to choose a penalty: "
            "give more examples or a single penalty."
        )
    fitted_LND = [layer_ND[~held_out_N] for layer_ND in layers_LND]
    held_out_LND = [layer_ND[held_out_N] for layer_ND in layers_LND]
    penalty_LG = np.tile(strongest_first, (len(layers_LND), 1))
    predictions_LGN = _fit_and_predict(fitted_LND, labels[~held_out_N], held_out_LND, penalty_LG, device)
    accuracy_LG = (predictions_LGN == labels[held_out_N]).mean(axis=2)
    return strongest_first[accuracy_LG.argmax(axis=1)]


def _stratified_part(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """True for a fifth of each class, rounded; a class of one or two keeps all its examples."""
    chosen_N = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        chosen_N[members[: round(_HELD_OUT * len(members))]] = True
    return chosen_N


def _fit_and_predict(
    train_LND: Sequence[np.ndarray],
    labels: np.ndarray,
    test_LND: Sequence[np.ndarray],
    penalty_LG: np.ndarray,
    device: str,
) -> np.ndarray:
    """Predicted classes of test: int64 (L, G, N)."""
    pairs = [_standardised(*pair) for pair in zip(train_LND, test_LND, strict=True)]
    train, test = (torch.from_numpy(np.stack(part)).to(device) for part in zip(*pairs, strict=True))
    shown, positions = np.unique(labels, return_inverse=True)
    fits = fit_logistic(
        train, torch.from_numpy(positions).to(device), torch.from_numpy(penalty_LG).to(device)
    )
    return shown[predict_classes(fits, test).cpu().numpy()].astype(np.int64)


def _standardised(train_ND: np.ndarray, test_ND: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both in units of train's deviations from train's means, in float64."""
    mean_D = train_ND.mean(axis=0, dtype=np.float64)
    deviation_D = train_ND.std(axis=0, dtype=np.float64)
    # Activations are float32 at best: a deviation within its rounding of the mean is no signal, and dividing
    # by it would make one. Such a column is 0 in train and in test.
    varies_D = deviation_D > np.finfo(np.float32).eps * np.abs(mean_D)
    scale_D = np.divide(1, deviation_D, out=np.zeros_like(deviation_D), where=varies_D)
    return (train_ND - mean_D) * scale_D, (test_ND - mean_D) * scale_D


def _macro_f1(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> float:
    """F1 = 2 hits / (labelled + predicted), averaged over the classes that occur in either."""
    labelled, predicted, hits = (
        np.bincount(values, minlength=num_classes)
        for values in (labels, predictions, labels[labels == predictions])
    )
    occurs = labelled + predicted > 0
    return float((2 * hits[occurs] / (labelled + predicted)[occurs]).mean())
