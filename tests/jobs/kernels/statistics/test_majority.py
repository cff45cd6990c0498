import math

import numpy as np
import pytest

from layerscope.jobs.kernels.statistics.majority import beats_chance, beats_majority


def slow_tail(num_correct: int, num: int, share: float) -> float:
    """The slow obvious version: the chance of so many heads or more."""
    return sum(math.comb(num, k) * share**k * (1 - share) ** (num - k) for k in range(num_correct, num + 1))


@pytest.mark.parametrize("share", [0.5, 0.7, 0.1])
def test_the_border_is_where_chance_alone_gets_there_once_in_twenty_times(share):
    labels = np.arange(40) >= round(40 * share)
    train = np.array([0, 0, 0, 1])
    for num_correct in range(41):
        expected = slow_tail(num_correct, 40, share) <= 0.05
        assert beats_majority(train, labels.astype(int), num_correct) == expected


def test_the_majority_is_that_of_the_training_labels():
    labels = np.array([0] * 30 + [1] * 10)
    assert not beats_majority(np.array([0, 0, 1]), labels, 30)
    assert beats_majority(np.array([0, 1, 1]), labels, 30)


@pytest.mark.parametrize(("label", "num_correct", "expected"), [(0, 20, False), (1, 1, True), (1, 0, False)])
def test_a_share_of_all_or_of_nothing_is_no_special_case(label, num_correct, expected):
    assert beats_majority(np.zeros(5, int), np.full(20, label), num_correct) == expected


def test_guessing_seldom_counts_as_learnt():
    random = np.random.default_rng(0)
    labels = np.arange(100) % 2
    counts = random.binomial(100, 0.5, size=2000)
    share = np.mean([beats_majority(np.array([0, 0, 1]), labels, int(count)) for count in counts])
    # A level of 5 % at most; 2000 draws know it to half a percent.
    assert 0.02 < share < 0.065


def test_drawing_among_differently_many_seldom_counts_as_learnt():
    random = np.random.default_rng(0)
    share_N = np.array([0.5, 0.2, 0.1, 0.9] * 25)
    counts = (random.random((2000, 100)) < share_N).sum(axis=1)
    # The test is stricter than its 5 % where shares differ, and counts are whole numbers.
    assert 0.001 < np.mean([beats_chance(share_N, int(count)) for count in counts]) <= 0.05
    assert beats_chance(share_N, 60)
    assert not beats_chance(np.ones(20), 20)
