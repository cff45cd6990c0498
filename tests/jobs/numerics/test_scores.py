import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, log_loss

from jobs.numerics.scores import accuracy, cross_entropy, macro_f1


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("num_labels", [2, 5])
def test_scores_are_those_of_scikit_learn(seed, num_labels):
    random = np.random.default_rng(seed)
    labels_N = random.integers(0, num_labels, 60)
    logits_NK = 3 * random.normal(size=(60, num_labels))
    predictions_N = logits_NK.argmax(axis=1)
    likelihoods_NK = np.exp(logits_NK) / np.exp(logits_NK).sum(axis=1, keepdims=True)
    assert accuracy(labels_N, predictions_N) == accuracy_score(labels_N, predictions_N)
    assert macro_f1(labels_N, predictions_N) == pytest.approx(
        f1_score(labels_N, predictions_N, average="macro")
    )
    assert cross_entropy(labels_N, logits_NK) == pytest.approx(
        log_loss(labels_N, likelihoods_NK, labels=range(num_labels))
    )


def test_a_label_that_is_never_right_scores_0_and_one_that_occurs_nowhere_is_left_out():
    labels_N, predictions_N = np.array([0, 0, 3, 3]), np.array([0, 0, 1, 0])
    assert macro_f1(labels_N, predictions_N) == pytest.approx((0.8 + 0 + 0) / 3)
    assert macro_f1(labels_N, predictions_N) == pytest.approx(
        f1_score(labels_N, predictions_N, average="macro", zero_division=0)
    )


def test_cross_entropy_bears_large_logits():
    assert cross_entropy(np.array([0, 0]), np.array([[1e4, 0.0], [-1e4, 0.0]])) == pytest.approx(5e3)
    assert cross_entropy(np.array([1]), np.zeros((1, 8))) == pytest.approx(np.log(8))
