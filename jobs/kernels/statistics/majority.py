"""Tests whether a model beats a constant or random baseline."""

import numpy as np
from scipy import stats


def beats_majority(
    train_labels: np.ndarray, labels_N: np.ndarray, num_correct: int, *, confidence: float = 0.95
) -> bool:
    """Whether the number of correct predictions significantly beats the majority-class baseline.

    One-sided exact binomial test: the lower bound (Clopper and Pearson 1934) of the true accuracy is above
    the share of the majority class among `labels_N`. The majority class is the most frequent of
    `train_labels`, the first in a tie.
    """
    majority = np.bincount(np.asarray(train_labels)).argmax()
    share = float(np.mean(np.asarray(labels_N) == majority))
    result = stats.binomtest(num_correct, len(labels_N), share, alternative="greater")
    return bool(result.pvalue <= 1 - confidence)


def beats_chance(shares_N: np.ndarray, num_correct: int, *, confidence: float = 0.95) -> bool:
    """Whether the number of correct answers significantly beats random choice.

    One-sided exact binomial test against the mean of the shares. If the shares differ, the number of correct
    random choices varies less than the binomial (Hoeffding 1956), and the test is slightly conservative.

    Args:
        shares_N: For each example, the share of its choices that is right.
    """
    share = float(np.mean(shares_N))
    result = stats.binomtest(num_correct, len(shares_N), share, alternative="greater")
    return bool(result.pvalue <= 1 - confidence)


def beats_constant(numbers_N: np.ndarray, predictions_N: np.ndarray, *, confidence: float = 0.95) -> bool:
    """Whether predicted numbers correlate positively with the true ones: one-sided test of Pearson's r.

    False for fewer than three numbers, and if either side is constant.
    """
    if len(numbers_N) < 3 or np.ptp(numbers_N) == 0 or np.ptp(predictions_N) == 0:
        return False
    result = stats.pearsonr(numbers_N, predictions_N, alternative="greater")
    return bool(result.pvalue <= 1 - confidence)
