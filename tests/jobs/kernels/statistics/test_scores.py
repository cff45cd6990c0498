import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score, log_loss, matthews_corrcoef, mean_squared_error

from layerscope.jobs.kernels.statistics import scores
from layerscope.jobs.kernels.statistics.majority import beats_constant
from layerscope.jobs.kernels.statistics.scores import (
    accuracy,
    cross_entropy,
    f1,
    macro_f1,
    matthews,
    pearson,
    spearman,
)


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
    assert matthews(labels_N, predictions_N) == pytest.approx(matthews_corrcoef(labels_N, predictions_N))
    assert f1(labels_N, predictions_N, label=1) == pytest.approx(
        f1_score(labels_N, predictions_N, labels=[1], average="macro")
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


def test_what_does_not_vary_correlates_with_nothing():
    same_N, other_N = np.zeros(4, int), np.array([0, 1, 1, 0])
    for score in (matthews, pearson, spearman):
        assert score(same_N, other_N) == score(other_N, same_N) == score(same_N, same_N) == 0
    assert f1(same_N, same_N, label=1) == 0
    assert matthews(other_N, other_N) == pytest.approx(1)
    assert matthews(other_N, 1 - other_N) == pytest.approx(-1)


@pytest.mark.parametrize("seed", range(3))
def test_scores_of_numbers_are_those_of_scipy(seed):
    random = np.random.default_rng(seed)
    numbers_N = random.integers(0, 10, 40) / 2
    predictions_N = numbers_N + 3 * random.normal(size=40)
    assert pearson(numbers_N, predictions_N) == pytest.approx(stats.pearsonr(numbers_N, predictions_N)[0])
    assert spearman(numbers_N, predictions_N) == pytest.approx(stats.spearmanr(numbers_N, predictions_N)[0])
    assert scores.mean_squared_error(numbers_N, predictions_N) == pytest.approx(
        mean_squared_error(numbers_N, predictions_N)
    )
    assert beats_constant(numbers_N, predictions_N)
    assert not beats_constant(numbers_N, -predictions_N)


def test_numbers_without_a_relation_seldom_seem_to_have_one():
    random = np.random.default_rng(0)
    found = [beats_constant(random.normal(size=30), random.normal(size=30)) for _ in range(400)]
    # 5 % of 400 and three standard deviations.
    assert sum(found) < 20 + 3 * (400 * 0.05 * 0.95) ** 0.5
    assert not beats_constant(np.arange(9.0), np.ones(9))
    assert not beats_constant(np.arange(2.0), np.arange(2.0))
