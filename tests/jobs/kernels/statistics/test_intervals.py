"""Intervals: their formulas by hand, their coverage, and what they refuse."""

import math

import numpy as np
import pytest

from layerscope.jobs.kernels.statistics.intervals import Interval, mean_interval


def test_a_mean_has_students_interval():
    """Mean 3, standard error sqrt(2.5 / 5), t of 4 degrees of freedom at 97.5 % is 2.7764 (any table)."""
    interval = mean_interval([1, 2, 3, 4, 5])
    half = 2.7764451 * math.sqrt(0.5)
    assert interval == Interval(3.0, pytest.approx(3 - half), pytest.approx(3 + half))


def test_the_mean_of_few_normal_values_is_covered_as_often_as_promised():
    rng = np.random.default_rng(0)
    intervals = [mean_interval(rng.normal(7, 2, size=3), level=0.9) for _ in range(400)]
    covered = np.mean([interval.low <= 7 <= interval.high for interval in intervals])
    assert covered == pytest.approx(0.9, abs=0.045)  # three standard errors of 400 trials


def test_one_value_has_a_mean_and_no_bounds():
    interval = mean_interval([0.25])
    assert interval.mean == 0.25 and math.isnan(interval.low) and math.isnan(interval.high)


@pytest.mark.parametrize("value", [0.1, 0.5, 0.0, 1.0])
def test_equal_values_do_not_say_how_far_others_lie(value):
    for scale in ((-math.inf, math.inf), (0, 1)):
        interval = mean_interval([value] * 3, scale=scale)
        assert (
            interval.mean == pytest.approx(value, abs=1e-15)
            and math.isnan(interval.low)
            and math.isnan(interval.high)
        )


def test_equal_differences_are_equal_though_float64_has_several():
    assert 0.9 - 0.8 != 0.8 - 0.7
    for scale in ((-math.inf, math.inf), (-1, 1)):
        assert math.isnan(mean_interval([0.9 - 0.8, 0.8 - 0.7], scale=scale).low)


SCALES = [(0, 1), (-1, 1), (0, 100), (0, math.inf), (-math.inf, 1)]


def draws(scale, rng, num_values):
    """Values inside the scale: spread over all of it, beside either end, and at its very ends."""
    low, high = (end if math.isfinite(end) else np.sign(end) * 50 for end in scale)
    near = rng.beta(*rng.choice([(1, 1), (50, 1), (1, 50), (0.1, 0.1)]), size=num_values)
    shares = rng.choice([0.0, 1.0, near[0]], size=num_values) if rng.random() < 0.2 else near
    return low + (high - low) * shares


@pytest.mark.parametrize("scale", SCALES)
def test_bounds_lie_inside_the_scale_around_the_mean(scale):
    rng = np.random.default_rng(1)
    for _ in range(300):
        values = draws(scale, rng, int(rng.integers(2, 11)))
        if np.ptp(values):
            interval = mean_interval(values, scale=scale)
            assert scale[0] <= interval.low <= interval.mean <= interval.high <= scale[1]
            assert interval.low < interval.high
    for end in filter(math.isfinite, scale):
        inside = end + 1e-11 * np.sign(0.5 - end) * 100
        interval = mean_interval([end, inside], scale=scale)
        assert scale[0] <= interval.low <= interval.mean <= interval.high <= scale[1]


def test_more_spread_or_a_higher_level_moves_both_bounds_outwards():
    for scale in SCALES:
        middle = 0.4
        widths = [mean_interval([middle - d, middle, middle + d], scale=scale) for d in (0.001, 0.05, 0.3)]
        levels = [mean_interval([0.3, 0.4, 0.5], scale=scale, level=level) for level in (0.5, 0.9, 0.99)]
        for intervals in (widths, levels):
            lows, highs = [one.low for one in intervals], [one.high for one in intervals]
            assert lows == sorted(lows, reverse=True) and highs == sorted(highs)
            assert len(set(lows)) == len(set(highs)) == 3


@pytest.mark.parametrize("values", [[0.55, 0.9], [0.97, 0.99, 0.98], [0.0, 1.0, 1.0]])
def test_errors_have_the_mirrored_interval_of_scores(values):
    scores, errors = mean_interval(values, scale=(0, 1)), mean_interval(1 - np.array(values), scale=(0, 1))
    assert (errors.low, errors.high) == (pytest.approx(1 - scores.high), pytest.approx(1 - scores.low))
    halves = mean_interval(2 * np.array(values) - 1, scale=(-1, 1))
    assert (halves.low, halves.high) == (
        pytest.approx(2 * scores.low - 1),
        pytest.approx(2 * scores.high - 1),
    )


@pytest.mark.parametrize("scale", SCALES)
def test_far_from_the_ends_it_is_students_interval(scale):
    values = 0.5 + np.array([-1, 0.5, 1, -0.5]) * 1e-4
    plain, inside = mean_interval(values), mean_interval(values, scale=scale)
    # The curvature of the logit over a half width of 2e-4 changes it by less than a thousandth.
    half = plain.high - plain.mean
    assert (inside.low, inside.high) == (
        pytest.approx(plain.low, abs=1e-3 * half),
        pytest.approx(plain.high, abs=1e-3 * half),
    )


@pytest.mark.parametrize("num_seeds", range(2, 11))
@pytest.mark.parametrize(
    "mean, deviation", [(0.5, 0.01), (0.5, 0.15), (0.9, 0.03), (0.97, 0.02), (0.99, 0.008)]
)
def test_the_mean_of_scores_is_held_as_often_as_promised(num_seeds, mean, deviation):
    """Scores follow a beta distribution, skewed near the ends; Student's own interval holds as few as 91 % of
    these means."""
    concentration = mean * (1 - mean) / deviation**2 - 1
    rng = np.random.default_rng(num_seeds)
    trials = rng.beta(mean * concentration, (1 - mean) * concentration, size=(1500, num_seeds))
    intervals = [mean_interval(values, scale=(0, 1)) for values in trials]
    held = np.mean([one.low <= mean <= one.high for one in intervals])
    # 0.935 to 0.96 in 20,000 trials; three standard errors of 1,500 are 0.017.
    assert 0.918 < held < 0.977


@pytest.mark.parametrize("values", [[0.5, 1.1], [-0.2, 0.5]])
def test_values_outside_the_scale_are_refused(values):
    with pytest.raises(ValueError, match="must lie in 0 to 1"):
        mean_interval(values, scale=(0, 1))


def test_a_value_that_rounding_put_beyond_the_scale_counts_as_its_end():
    assert mean_interval([0.5, 1 + 1e-15], scale=(0, 1)) == mean_interval([0.5, 1.0], scale=(0, 1))


@pytest.mark.parametrize("values", [[0.5, math.nan], [math.inf, 1.0]])
def test_a_mean_refuses_values_that_are_not_finite(values):
    with pytest.raises(ValueError, match="needs finite values"):
        mean_interval(values)


@pytest.mark.parametrize("values", [[], [[1.0, 2.0]]])
def test_a_mean_refuses_what_is_no_list_of_values(values):
    with pytest.raises(ValueError, match="one or more values"):
        mean_interval(values)


@pytest.mark.parametrize("level", [0, 1, 95])
def test_a_level_outside_0_to_1_is_refused(level):
    with pytest.raises(ValueError, match="must be between 0 and 1"):
        mean_interval([1, 2], level=level)
