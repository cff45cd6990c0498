"""Errors from halves: those of a mean are known, and those of CKA are its influence function's."""

import numpy as np
import pytest

from jobs.numerics.cka import cka_map
from jobs.numerics.cka_errors import cka_standard_errors
from jobs.numerics.half_samples import half_sample_errors


def test_of_means_they_are_the_textbook_ones():
    values_NS = np.random.default_rng(0).normal(size=(101, 30)) * np.arange(1, 31)
    found = half_sample_errors(lambda rows: values_NS[rows].mean(axis=0), 101, num_halves=40)
    expected = values_NS.std(axis=0, ddof=1) / np.sqrt(101)
    # A deviation over 40 draws errs by 11 %, the mean over 30 independent values by a fifth of that.
    assert np.mean(found / expected) == pytest.approx(1, abs=0.08)
    assert (abs(found / expected - 1) < 0.5).all()


def test_of_cka_they_are_about_those_of_its_influence_function():
    random = np.random.default_rng(1)
    shared = random.normal(size=(300, 6))
    layers = [np.hstack([shared, random.normal(size=(300, 10))]) for _ in range(6)]
    expected = cka_standard_errors(layers)[np.triu_indices(6, 1)]
    found = half_sample_errors(
        lambda rows: cka_map([layer[rows] for layer in layers])[np.triu_indices(6, 1)], 300, num_halves=30
    )
    # Fifteen cells that share layers and halves; the deviation over 30 draws errs by 13 %.
    assert np.mean(found / expected) == pytest.approx(1, abs=0.3)


def test_the_same_seed_gives_the_same_errors_and_an_undefined_value_none():
    def statistic(rows):
        return np.array([rows.mean(), np.nan])

    first = half_sample_errors(statistic, 20)
    np.testing.assert_array_equal(first, half_sample_errors(statistic, 20))
    assert first[0] > 0 and np.isnan(first[1])
    assert half_sample_errors(statistic, 20, seed=1)[0] != first[0]


@pytest.mark.parametrize(("examples", "halves"), [(3, 20), (20, 1)])
def test_too_few_are_refused(examples, halves):
    with pytest.raises(ValueError, match="halves need 2 draws and 4 examples or more"):
        half_sample_errors(lambda rows: rows, examples, num_halves=halves)
