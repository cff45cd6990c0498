"""Intervals: their formulas by hand, their coverage, and what they refuse."""

import math

import numpy as np
import pytest

from jobs.numerics.intervals import Interval, mean_interval, proportion_interval


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


def test_equal_values_leave_no_width():
    assert mean_interval([0.5, 0.5, 0.5]) == Interval(0.5, 0.5, 0.5)


@pytest.mark.parametrize("values", [[0.5, math.nan], [math.inf, 1.0]])
def test_a_mean_refuses_values_that_are_not_finite(values):
    with pytest.raises(ValueError, match="needs finite values"):
        mean_interval(values)


@pytest.mark.parametrize("values", [[], [[1.0, 2.0]]])
def test_a_mean_refuses_what_is_no_list_of_values(values):
    with pytest.raises(ValueError, match="one or more values"):
        mean_interval(values)


def test_a_proportion_has_wilsons_interval():
    """The score interval in its textbook form, for 8 of 10."""
    z, n, p = 1.959963985, 10, 0.8
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert proportion_interval(8, 10) == Interval(
        0.8, pytest.approx(centre - half), pytest.approx(centre + half)
    )


def test_a_proportion_at_its_end_still_has_width_and_stays_within_bounds():
    none, all_of_them = proportion_interval(0, 20), proportion_interval(20, 20)
    assert none.low == 0 and 0.1 < none.high < 0.2
    assert all_of_them.high == 1 and 0.8 < all_of_them.low < 0.9


@pytest.mark.parametrize("counts", [(0, 0), (3, 2), (-1, 2)])
def test_impossible_counts_are_refused(counts):
    with pytest.raises(ValueError, match="a proportion needs"):
        proportion_interval(*counts)


@pytest.mark.parametrize("level", [0, 1, 95])
def test_a_level_outside_0_to_1_is_refused(level):
    with pytest.raises(ValueError, match="lies between 0 and 1"):
        mean_interval([1, 2], level=level)
    with pytest.raises(ValueError, match="lies between 0 and 1"):
        proportion_interval(1, 2, level=level)
