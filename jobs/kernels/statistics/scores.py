"""Scores of predicted labels and numbers."""

import numpy as np
from scipy.stats import rankdata


def accuracy(labels_N: np.ndarray, predictions_N: np.ndarray) -> float:
    """Share of correct predictions."""
    return float(np.mean(np.asarray(labels_N) == np.asarray(predictions_N)))


def macro_f1(labels_N: np.ndarray, predictions_N: np.ndarray) -> float:
    """Mean over labels of the harmonic mean of precision and recall.

    Labels that occur neither in the true nor in the predicted labels are left out; a label without a correct
    prediction scores 0.
    """
    labels_N, predictions_N = np.asarray(labels_N), np.asarray(predictions_N)
    scores = []
    for label in np.union1d(labels_N, predictions_N):
        truly, predicted = labels_N == label, predictions_N == label
        scores.append(2 * np.sum(truly & predicted) / (np.sum(truly) + np.sum(predicted)))
    return float(np.mean(scores))


def cross_entropy(labels_N: np.ndarray, logits_NK: np.ndarray) -> float:
    """Mean negative log likelihood in nats."""
    logits_NK = np.asarray(logits_NK, np.float64)
    shifted_NK = logits_NK - logits_NK.max(axis=1, keepdims=True)
    log_sums_N = np.log(np.exp(shifted_NK).sum(axis=1))
    return float(np.mean(log_sums_N - shifted_NK[np.arange(len(labels_N)), labels_N]))


def f1(labels_N: np.ndarray, predictions_N: np.ndarray, *, label: int = 1) -> float:
    """Harmonic mean of precision and recall of one label, by default 1; 0 if the label does not occur."""
    truly_N, predicted_N = np.asarray(labels_N) == label, np.asarray(predictions_N) == label
    found = np.sum(truly_N) + np.sum(predicted_N)
    return float(2 * np.sum(truly_N & predicted_N) / found) if found else 0.0


def matthews(labels_N: np.ndarray, predictions_N: np.ndarray) -> float:
    """Correlation of labels and predictions, -1 to 1 (Matthews 1975; multiclass: Gorodkin 2004, eq. 8); 0 if
    one of them is constant."""
    labels_N, predictions_N = np.asarray(labels_N), np.asarray(predictions_N)
    names = np.union1d(labels_N, predictions_N)
    truly_NK, predicted_NK = labels_N[:, None] == names, predictions_N[:, None] == names
    covariance = (truly_NK - truly_NK.mean(0)).ravel() @ (predicted_NK - predicted_NK.mean(0)).ravel()
    variances = [np.sum((one - one.mean(0)) ** 2) for one in (truly_NK, predicted_NK)]
    return float(covariance / np.sqrt(np.prod(variances))) if all(variances) else 0.0


def pearson(numbers_N: np.ndarray, predictions_N: np.ndarray) -> float:
    """Linear correlation, -1 to 1; 0 if one of them is constant."""
    centred = [np.asarray(one, np.float64) - np.mean(one) for one in (numbers_N, predictions_N)]
    norms = [np.linalg.norm(one) for one in centred]
    return float(centred[0] @ centred[1] / (norms[0] * norms[1])) if all(norms) else 0.0


def spearman(numbers_N: np.ndarray, predictions_N: np.ndarray) -> float:
    """Linear correlation of ranks; tied numbers get their mean rank."""
    return pearson(rankdata(numbers_N), rankdata(predictions_N))


def mean_squared_error(numbers_N: np.ndarray, predictions_N: np.ndarray) -> float:
    """Mean of the squared differences."""
    return float(np.mean((np.asarray(numbers_N, np.float64) - np.asarray(predictions_N)) ** 2))
