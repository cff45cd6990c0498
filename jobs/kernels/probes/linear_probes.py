"""Linear probes of each layer, with all layers and penalties trained together.

Axes: L layers, N examples, D features, G penalties.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike

from layerscope.jobs.kernels.arrays import Floats, Integers
from layerscope.jobs.kernels.probes.labelled_layers import (
    check_penalties,
    check_train_and_test,
    hold_out,
    standardised,
)
from layerscope.jobs.kernels.probes.logistic import fit_logistic, predict_classes
from layerscope.jobs.kernels.probes.probe_result import ProbeResult, score_probes

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def linear_probes(
    train_LND: Sequence[np.ndarray],
    train_labels: ArrayLike,
    test_LND: Sequence[np.ndarray],
    test_labels: ArrayLike,
    *,
    penalties: Sequence[float] = PENALTIES,
    num_classes: int,
    seed: int,
    device: str = "cpu",
) -> ProbeResult:
    """Multinomial logistic regression on each layer, with an L2 penalty chosen per layer.

    The penalty is chosen by accuracy on a held-out fifth of each class, sampled from train with `seed`; a tie
    gives the strongest. The probe is then fitted on all of train. Features are standardised per layer by the
    mean and standard deviation of the examples fitted on. The objective is the mean cross-entropy plus
    penalty / 2 times the sum of squared weights, without a penalty on intercepts, solved to 1e-5 of itself.
    With two labels as with more, scikit-learn's C is 1 / (penalty * number of examples). The minimum is
    unique, so each layer has one fit, which does not depend on the other layers of the call. A class that
    does not occur in train is never predicted; a layer that is the same for all examples predicts the
    majority.

    Labels are integers in 0..num_classes - 1, layers are (examples, features) of one width. Raises ValueError
    for anything else, for values that are not finite, and if no example can be held out to choose a penalty.
    """
    train_labels_N, test_labels_N = np.asarray(train_labels), np.asarray(test_labels)
    check_train_and_test(train_LND, train_labels_N, test_LND, test_labels_N, num_classes)
    check_penalties(penalties)

    penalty_L = choose_penalties(train_LND, train_labels_N, penalties, seed, device)
    return score_probes(
        _fit_and_predict(train_LND, train_labels_N, test_LND, penalty_L[:, None], device),
        train_labels_N,
        test_labels_N,
        penalty_L=penalty_L,
        sizes_L=((),) * len(train_LND),
    )


def choose_penalties(
    layers_LND: Sequence[np.ndarray],
    labels: np.ndarray,
    penalties: Sequence[float],
    seed: int,
    device: str,
) -> np.ndarray:
    """The penalty with the best accuracy on held-out examples, per layer."""
    strongest_first: Floats = np.sort(np.asarray(penalties, dtype=np.float64))[::-1]
    if len(strongest_first) == 1:
        return np.repeat(strongest_first, len(layers_LND))
    held_out_N = hold_out(labels, seed=seed)
    fitted_LND = [layer_ND[~held_out_N] for layer_ND in layers_LND]
    held_out_LND = [layer_ND[held_out_N] for layer_ND in layers_LND]
    penalty_LG = np.tile(strongest_first, (len(layers_LND), 1))
    predictions_LGN = _fit_and_predict(fitted_LND, labels[~held_out_N], held_out_LND, penalty_LG, device)
    accuracy_LG = (predictions_LGN == labels[held_out_N]).mean(axis=2)
    best_L: Integers = accuracy_LG.argmax(axis=1)
    return strongest_first[best_L]


def _fit_and_predict(
    train_LND: Sequence[np.ndarray],
    labels: np.ndarray,
    test_LND: Sequence[np.ndarray],
    penalty_LG: np.ndarray,
    device: str,
) -> np.ndarray:
    """Predicted classes of test: int64 (L, G, N)."""
    pairs = [standardised(*pair) for pair in zip(train_LND, test_LND, strict=True)]
    train, test = (torch.from_numpy(np.stack(part)).to(device) for part in zip(*pairs, strict=True))
    shown, positions = np.unique(labels, return_inverse=True)
    fits = fit_logistic(
        train, torch.from_numpy(positions).to(device), torch.from_numpy(penalty_LG).to(device)
    )
    classes_LGN: np.ndarray = shown[predict_classes(fits, test).cpu().numpy()].astype(np.int64)
    return classes_LGN
