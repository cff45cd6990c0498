"""Results of probes of any kind on the test examples, layer by layer.

Axes: L layers, R fits of the chosen probe that differ in their initialisation, N test examples.
"""

from dataclasses import dataclass

import numpy as np

from layerscope.jobs.kernels.arrays import Floats
from layerscope.jobs.kernels.statistics.scores import accuracy, macro_f1


@dataclass(frozen=True)
class ProbeResult:
    """Scores and chosen settings of each layer."""

    accuracy_L: Floats
    """Mean over the fits."""
    accuracy_deviation_L: Floats
    """Sample standard deviation over the fits; 0 for one fit, as for a probe with a unique minimum."""
    macro_f1_L: Floats
    """Mean F1 over the classes that occur in the test labels or in the predictions, and over the fits."""
    penalty_L: Floats
    """The L2 penalty chosen for each layer, as the probe defines it."""
    sizes_L: tuple[tuple[int, ...], ...]
    """The chosen sizes of the hidden layers; () for a linear probe."""
    majority_accuracy: float
    """Test accuracy of the majority-class baseline: the most frequent train label."""
    predictions_LRN: np.ndarray
    """Predicted class of each test example, int64."""


def score_probes(
    predictions_LRN: np.ndarray,
    train_labels: np.ndarray,
    test_labels: np.ndarray,
    *,
    penalty_L: np.ndarray,
    sizes_L: tuple[tuple[int, ...], ...],
) -> ProbeResult:
    """Score the predictions and the majority-class baseline."""
    accuracy_LR, macro_f1_LR = (
        np.array([[score(test_labels, fit_N) for fit_N in layer_RN] for layer_RN in predictions_LRN])
        for score in (accuracy, macro_f1)
    )
    majority_N = np.full_like(test_labels, np.bincount(train_labels).argmax())
    return ProbeResult(
        accuracy_L=accuracy_LR.mean(axis=1),
        accuracy_deviation_L=_deviation(accuracy_LR),
        macro_f1_L=macro_f1_LR.mean(axis=1),
        penalty_L=penalty_L,
        sizes_L=sizes_L,
        majority_accuracy=accuracy(test_labels, majority_N),
        predictions_LRN=predictions_LRN,
    )


def _deviation(score_LR: np.ndarray) -> np.ndarray:
    return score_LR.std(axis=1, ddof=1) if score_LR.shape[1] > 1 else np.zeros(len(score_LR))
