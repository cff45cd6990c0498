"""Scores of a classifier's predictions."""

import numpy as np


def accuracy(labels_N: np.ndarray, predictions_N: np.ndarray) -> float:
    """Part of the predictions that are right."""
    return float(np.mean(np.asarray(labels_N) == np.asarray(predictions_N)))


def macro_f1(labels_N: np.ndarray, predictions_N: np.ndarray) -> float:
    """Mean over labels of the harmonic mean of precision and recall.

    Labels that occur neither among the true nor among the predicted ones are left out; a label that is
    never right scores 0.
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
