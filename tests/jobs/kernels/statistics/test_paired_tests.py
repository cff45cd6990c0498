"""Paired tests: enumeration, a hand example, and coverage on planted differences."""

from itertools import product

import numpy as np
import pytest

from layerscope.jobs.kernels.statistics.intervals import Interval
from layerscope.jobs.kernels.statistics.paired_tests import (
    average_interval,
    difference_interval,
    holm,
    mcnemar,
)


def enumerated_mcnemar(correct_a, correct_b):
    """Slow and obvious: swap a and b in every example where they differ, in all 2^m ways."""
    differences = np.array([d for d in np.subtract(correct_a, correct_b) if d])
    observed = abs(differences.sum())
    swapped = [abs((differences * signs).sum()) for signs in product((-1, 1), repeat=len(differences))]
    return np.mean([total >= observed for total in swapped])


@pytest.mark.parametrize("seed", range(6))
def test_mcnemar_is_the_share_of_all_swaps_that_differ_as_much(seed):
    rng = np.random.default_rng(seed)
    correct_a, correct_b = (rng.random((2, 20)) < [[0.8], [0.5]]).astype(int)
    assert mcnemar(correct_a, correct_b) == pytest.approx(enumerated_mcnemar(correct_a, correct_b))
    assert mcnemar(correct_b, correct_a) == mcnemar(correct_a, correct_b)


def test_mcnemar_sees_only_the_examples_where_the_models_differ():
    assert mcnemar([True] * 6, [False] * 6) == pytest.approx(2 / 2**6)
    assert mcnemar([True] * 6 + [True] * 90, [False] * 6 + [True] * 90) == pytest.approx(2 / 2**6)
    assert mcnemar([1, 0, 1], [1, 0, 1]) == 1.0


def test_mcnemar_rejects_equal_models_no_more_often_than_it_says():
    rng = np.random.default_rng(0)
    p_values = [mcnemar(*(rng.random((2, 100)) < 0.7)) for _ in range(200)]
    assert np.mean(np.array(p_values) <= 0.05) <= 0.05 + 0.046  # three standard errors of 200 trials


def test_holm_multiplies_by_the_hypotheses_left_and_never_decreases():
    """By hand: sorted .01 .02 .03 .04 times 4 3 2 1 is .04 .06 .06 .04; the last is raised to .06."""
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])


def test_holm_stops_at_one_and_leaves_a_single_value_alone():
    assert holm([0.6, 0.9]) == pytest.approx([1, 1])
    assert holm([0.03]) == pytest.approx([0.03])
    assert holm([]).shape == (0,)


@pytest.mark.parametrize("p_values", [[0.5, np.nan], [1.1], [-0.1], [[0.1]]])
def test_holm_refuses_what_is_no_list_of_probabilities(p_values):
    with pytest.raises(ValueError, match=r"numbers in 0\.\.1"):
        holm(p_values)


def test_a_planted_difference_is_covered_as_often_as_promised():
    """a is right on 80 % and b on 70 % of examples whose difficulty they share."""
    rng = np.random.default_rng(0)
    num_covered = num_excluding_zero = 0
    for seed in range(100):
        difficulty_N = rng.random(300)
        noise_SN = rng.normal(0, 0.1, size=(2, 3, 300))
        correct_a_SN, correct_b_SN = difficulty_N + noise_SN[0] < 0.8, difficulty_N + noise_SN[1] < 0.7
        interval = difference_interval(correct_a_SN, correct_b_SN, num_resamples=300, seed=seed)
        num_covered += interval.low <= 0.1 <= interval.high
        num_excluding_zero += interval.low > 0
    assert num_covered / 100 == pytest.approx(0.95, abs=0.065)  # three standard errors of 100 trials
    assert num_excluding_zero > 95


def test_equal_models_have_an_interval_around_zero_that_shrinks_with_the_examples():
    rng = np.random.default_rng(1)
    widths = []
    for num_examples in (100, 1600):
        correct_SN = (rng.random((2, 3, num_examples)) < 0.7).astype(float)
        interval = difference_interval(*correct_SN, num_resamples=500, seed=0)
        assert interval.low < 0 < interval.high
        widths.append(interval.high - interval.low)
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.25)


def test_the_pairing_narrows_the_interval_where_the_models_share_their_mistakes():
    rng = np.random.default_rng(2)
    correct_SN = rng.random((1, 400)) < 0.7
    almost_SN = correct_SN.copy()
    almost_SN[0, :4] = ~almost_SN[0, :4]
    paired = difference_interval(correct_SN, almost_SN, seed=0, num_resamples=500)
    unpaired = difference_interval(correct_SN, rng.permuted(almost_SN, axis=1), seed=0, num_resamples=500)
    assert (paired.high - paired.low) < (unpaired.high - unpaired.low) / 3


def test_models_may_have_different_numbers_of_seeds_and_never_differ():
    interval = difference_interval(np.ones((3, 10)), np.ones((1, 10)), seed=0, num_resamples=50)
    assert (interval.mean, interval.low, interval.high) == (0, 0, 0)


def test_the_same_seed_gives_the_same_bounds(monkeypatch):
    rng = np.random.default_rng(3)
    correct_SN = rng.random((2, 2, 50)) < 0.7
    first, again, other = (
        difference_interval(*correct_SN, seed=seed, num_resamples=200) for seed in (0, 0, 1)
    )
    assert first == again != other
    monkeypatch.setattr("layerscope.jobs.kernels.statistics.paired_tests.BATCH_ENTRIES", 350)
    assert difference_interval(*correct_SN, seed=0, num_resamples=200) == first


def test_different_examples_are_refused_by_naming_both_counts():
    with pytest.raises(ValueError, match="a has 2 examples and b has 3"):
        mcnemar([1, 0], [1, 0, 1])
    with pytest.raises(ValueError, match="a has 4 examples and b has 5"):
        difference_interval(np.ones((1, 4)), np.ones((1, 5)), seed=0)


@pytest.mark.parametrize(
    ("correct", "message"),
    [
        ([0.5, 1.0], "1 for correct and 0 for wrong"),
        ([np.nan, 1.0], "1 for correct and 0 for wrong"),
        ([], r"must be \(examples,\)"),
        ([[1, 0]], r"must be \(examples,\)"),
    ],
)
def test_what_is_no_list_of_right_and_wrong_is_refused(correct, message):
    with pytest.raises(ValueError, match=message):
        mcnemar(correct, correct)


def test_a_bootstrap_refuses_a_flat_list_and_a_single_example():
    with pytest.raises(ValueError, match=r"must be \(seeds, examples\)"):
        difference_interval(np.ones(4), np.ones(4), seed=0)
    with pytest.raises(ValueError, match="at least 2 examples"):
        difference_interval(np.ones((3, 1)), np.ones((3, 1)), seed=0)


def planted_differences(rng, means, *, num_examples=(150, 400, 80)):
    """Differences in {-1, 0, 1} whose means in the population are the given ones; tasks differ in size."""
    return [
        rng.choice([-1, 0, 1], p=[(0.3 - mean) / 2, 0.7, (0.3 + mean) / 2], size=size).astype(float)
        for mean, size in zip(means, num_examples, strict=True)
    ]


def test_a_planted_average_is_covered_as_often_as_promised_whatever_the_tasks_sizes():
    rng = np.random.default_rng(0)
    num_covered = num_found = 0
    for seed in range(200):
        interval, p_value = average_interval(
            planted_differences(rng, (0.25, 0.05, 0.0)), num_resamples=500, seed=seed
        )
        num_covered += interval.low <= 0.1 <= interval.high
        num_found += p_value < 0.05
    assert num_covered / 200 == pytest.approx(0.95, abs=0.046)  # three standard errors of 200 trials
    assert num_found > 180


def test_an_average_of_no_difference_is_seldom_found():
    rng = np.random.default_rng(1)
    p_values = [
        average_interval(planted_differences(rng, (0.1, -0.1, 0.0)), num_resamples=500, seed=seed)[1]
        for seed in range(200)
    ]
    assert np.mean(np.array(p_values) < 0.05) <= 0.05 + 0.046  # three standard errors of 200 trials


def test_an_average_is_that_of_resampling_every_task_example_by_example():
    rng = np.random.default_rng(2)
    differences = planted_differences(rng, (0.2, 0.0, -0.1))
    interval, p_value = average_interval(differences, num_resamples=4000, seed=0)
    slow = np.mean(
        [rng.choice(values, size=(4000, len(values))).mean(axis=1) for values in differences], axis=0
    )
    assert interval.mean == pytest.approx(np.mean([values.mean() for values in differences]))
    # Quantiles of 4000 resamples are known to about 0.06 deviations, both here and there.
    allowed = 0.25 * slow.std()
    assert (interval.low, interval.high) == pytest.approx(
        tuple(np.quantile(slow, [0.025, 0.975])), abs=allowed
    )
    assert p_value == pytest.approx(2 * min((slow <= 0).mean(), (slow >= 0).mean()), abs=0.05)


def test_models_that_are_equal_differ_by_zero_on_average():
    equal = [np.zeros(10), np.zeros(3)]
    assert average_interval(equal, num_resamples=50, seed=0) == (Interval(0, 0, 0), 1.0)


def test_an_average_does_not_depend_on_the_size_of_its_batches(monkeypatch):
    differences = planted_differences(np.random.default_rng(3), (0.1, 0.0, 0.2))
    whole = average_interval(differences, num_resamples=200, seed=0)
    assert average_interval(differences, num_resamples=200, seed=1) != whole
    monkeypatch.setattr("layerscope.jobs.kernels.statistics.paired_tests.BATCH_ENTRIES", 100)
    assert average_interval(differences, num_resamples=200, seed=0)[0].mean == whole[0].mean
    assert average_interval(differences, num_resamples=200, seed=0) == whole


@pytest.mark.parametrize("differences", [[], [np.zeros(1)], [np.zeros((2, 3))], [np.array([0.0, np.nan])]])
def test_an_average_refuses_what_are_no_differences(differences):
    with pytest.raises(ValueError, match=r"at least one task|2 or more finite differences"):
        average_interval(differences, seed=0)
