"""Whether a model does better than one that always gives the same answer."""

import numpy as np
from scipy import stats


def beats_majority(
    train_labels: np.ndarray, labels_N: np.ndarray, num_correct: int, *, confidence: float = 0.95
) -> bool:
    """Whether the number of correct predictions significantly beats the majority-class baseline.

    One-sided exact binomial test: the lower bound (Clopper and Pearson 1934) of the true accuracy lies above
    the share of the majority among the labels. Of several most frequent labels the first is the majority.
    """
    majority = np.bincount(np.asarray(train_labels)).argmax()
    share = float(np.mean(np.asarray(labels_N) == majority))
    result = stats.binomtest(num_correct, len(labels_N), share, alternative="greater")
    return bool(result.pvalue <= 1 - confidence)


def beats_chance(shares_N: np.ndarray, num_correct: int, *, confidence: float = 0.95) -> bool:
    """Whether so many right answers are more than those of drawing one at random.

    One-sided exact binomial test against the mean of the shares. Where these differ, the number of right
    draws varies less than the binomial (Hoeffding 1956), and the test is a little stricter than it says.

    Args:
        shares_N: Of each example, how large a part of what may be drawn is right.
    """
    share = float(np.mean(shares_N))
    result = stats.binomtest(num_correct, len(shares_N), share, alternative="greater")
    return bool(result.pvalue <= 1 - confidence)


def beats_constant(numbers_N: np.ndarray, predictions_N: np.ndarray, *, confidence: float = 0.95) -> bool:
    """Whether predicted numbers rise with the true ones: one-sided t test of Pearson's correlation.

    Three numbers at least are needed, and some variation of both.
    """
    if len(numbers_N) < 3 or np.ptp(numbers_N) == 0 or np.ptp(predictions_N) == 0:
        return False
    result = stats.pearsonr(numbers_N, predictions_N, alternative="greater")
    return bool(result.pvalue <= 1 - confidence)
