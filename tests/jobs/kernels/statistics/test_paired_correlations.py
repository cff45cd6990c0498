"""Paired bootstrap of correlations: the same as drawing rows, its level under no difference, its power."""

import numpy as np
import pytest

from layerscope.jobs.kernels.statistics.paired_correlations import correlation_difference
from layerscope.jobs.kernels.statistics.scores import pearson, spearman


def predicted(random, numbers_N, *, noise, seeds=1):
    return numbers_N + noise * random.normal(size=(seeds, len(numbers_N)))


def test_counts_give_what_rows_drawn_one_by_one_give():
    random = np.random.default_rng(0)
    numbers_N = random.integers(0, 6, size=40) / 2
    predictions_N = predicted(random, numbers_N, noise=1.0)[0].round(1)
    counts_RN = np.random.default_rng(7).multinomial(40, np.full(40, 1 / 40), size=49)
    rows_RN = [np.repeat(np.arange(40), counts) for counts in counts_RN]
    for name, naive in (("pearson", pearson), ("spearman", spearman)):
        expected = [naive(numbers_N[rows], predictions_N[rows]) for rows in rows_RN]
        found = resampled(numbers_N, predictions_N, name, num_resamples=49, seed=7)
        np.testing.assert_allclose(found, sorted(expected), atol=1e-12)


def resampled(numbers_N, predictions_N, correlation, *, num_resamples, seed):
    """The correlations in all resamples, ascending: the bounds at levels that each lie on two of them.

    The other model always predicts the same, which correlates with nothing.
    """
    options = {"correlation": correlation, "num_resamples": num_resamples, "seed": seed}
    nothing_1N = np.zeros((1, len(numbers_N)))
    ends = []
    for level in np.linspace(0, 1, num_resamples // 2 + 1):
        one, _ = correlation_difference(numbers_N, predictions_N[None], nothing_1N, level=level, **options)
        ends.append((one.low, one.high))
    lows, highs = zip(*ends, strict=True)
    return [*reversed(lows), *highs[1:]]


@pytest.mark.parametrize("correlation", ["pearson", "spearman", "pearson_spearman"])
def test_a_better_model_is_told_and_the_difference_is_that_of_the_scores(correlation):
    random = np.random.default_rng(1)
    numbers_N = random.normal(size=300)
    a_SN, b_SN = predicted(random, numbers_N, noise=0.5, seeds=3), predicted(random, numbers_N, noise=2.0)
    interval, p_value = correlation_difference(numbers_N, a_SN, b_SN, correlation=correlation, seed=0)
    kinds = {"pearson": [pearson], "spearman": [spearman]}.get(correlation, [pearson, spearman])
    a, b = (np.mean([[of(numbers_N, one) for of in kinds] for one in side]) for side in (a_SN, b_SN))
    assert interval.mean == pytest.approx(a - b)
    assert 0 < interval.low < interval.mean < interval.high
    assert p_value == 2 / 2001


def test_models_that_are_equally_good_are_told_apart_as_rarely_as_is_claimed():
    random = np.random.default_rng(2)
    found = []
    for _ in range(300):
        numbers_N = random.normal(size=80)
        a_SN, b_SN = (predicted(random, numbers_N, noise=1.0) for _ in range(2))
        found.append(
            correlation_difference(
                numbers_N, a_SN, b_SN, correlation="pearson_spearman", num_resamples=200, seed=0
            )
        )
    # 300 draws of 5 % are more than 28 once in a thousand times.
    assert 4 <= sum(p_value < 0.05 for _, p_value in found) <= 28
    assert 4 <= sum(not one.low <= 0 <= one.high for one, _ in found) <= 28


def test_a_model_does_not_differ_from_itself():
    random = np.random.default_rng(3)
    numbers_N = random.normal(size=30)
    a_SN = predicted(random, numbers_N, noise=1.0)
    interval, p_value = correlation_difference(numbers_N, a_SN, a_SN, correlation="spearman", seed=0)
    assert (interval.mean, interval.low, interval.high, p_value) == (0, 0, 0, 1)


def test_a_prediction_that_does_not_vary_correlates_with_nothing():
    random = np.random.default_rng(4)
    numbers_N = random.normal(size=30)
    constant, exact = np.full((1, 30), 0.1), numbers_N[None]
    interval, _ = correlation_difference(numbers_N, exact, constant, correlation="pearson", seed=0)
    assert (interval.mean, interval.low, interval.high) == pytest.approx((1, 1, 1))


@pytest.mark.parametrize(
    ("numbers", "predictions", "fault"),
    [
        ([1.0, 2.0], [[1.0, 2.0]], "3 or more finite numbers"),
        ([1.0, 2.0, 3.0], [[1.0, 2.0]], r"predictions must be \(seeds, 3\)"),
        ([1.0, 2.0, 3.0], [[1.0, 2.0, np.nan]], "predictions must be finite"),
    ],
)
def test_other_examples_are_refused(numbers, predictions, fault):
    with pytest.raises(ValueError, match=fault):
        correlation_difference(
            np.array(numbers), np.array(predictions), np.array(predictions), correlation="pearson", seed=0
        )
