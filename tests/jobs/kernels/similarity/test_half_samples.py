"""Errors from halves: those of a mean are known, and those of CKA are its influence function's."""

import numpy as np
import pytest

from layerscope.jobs.kernels.similarity.cka import cka_map
from layerscope.jobs.kernels.similarity.cka_errors import cka_standard_errors
from layerscope.jobs.kernels.similarity.half_samples import half_sample_errors, half_sample_factor


def test_of_means_they_are_the_textbook_ones():
    values_NS = np.random.default_rng(0).normal(size=(101, 30)) * np.arange(1, 31)
    found = half_sample_errors(lambda rows: values_NS[rows].mean(axis=0), 101, num_halves=40)
    expected = values_NS.std(axis=0, ddof=1) / np.sqrt(101)
    # A deviation from 20 splits errs by 16 %, the mean over 30 independent values by a fifth of that.
    assert np.mean(found / expected) == pytest.approx(1, abs=0.1)
    assert (abs(found / expected - 1) < 0.6).all()


def test_of_a_statistic_that_jumps_they_are_its_own_too():
    """The median is no smooth function of its examples: leaving out one at a time does not know its error."""
    samples_SN = np.random.default_rng(2).normal(size=(200, 60))
    found = half_sample_errors(lambda rows: np.median(samples_SN[:, rows], axis=1), 60)
    deviation = np.median(samples_SN, axis=1).std()
    # A deviation of 200 values errs by 5 %; that of halves of 30 is 2 % off sqrt(2) times that of 60.
    assert np.sqrt(np.square(found).mean()) == pytest.approx(deviation, rel=0.15)


def test_few_splits_need_wider_intervals():
    assert half_sample_factor(20) == pytest.approx(2.228, abs=1e-3)
    assert half_sample_factor(2000) == pytest.approx(1.96, abs=5e-3)


def test_of_cka_they_are_about_those_of_its_influence_function():
    random = np.random.default_rng(1)
    shared = random.normal(size=(300, 6))
    layers = [np.hstack([shared, random.normal(size=(300, 10))]) for _ in range(6)]
    expected = cka_standard_errors(layers)[np.triu_indices(6, 1)]
    found = half_sample_errors(
        lambda rows: cka_map([layer[rows] for layer in layers])[np.triu_indices(6, 1)], 300, num_halves=30
    )
    # Fifteen cells that share layers and halves; a deviation from 15 splits errs by 18 %.
    assert np.mean(found / expected) == pytest.approx(1, abs=0.3)


def test_the_same_seed_gives_the_same_errors_and_an_undefined_value_none():
    def statistic(rows):
        return np.array([rows.mean(), np.nan])

    first = half_sample_errors(statistic, 20)
    np.testing.assert_array_equal(first, half_sample_errors(statistic, 20))
    assert first[0] > 0 and np.isnan(first[1])
    assert half_sample_errors(statistic, 20, seed=1)[0] != first[0]


@pytest.mark.parametrize(("examples", "halves"), [(3, 20), (20, 0), (20, 5)])
def test_too_few_or_odd_ones_are_refused(examples, halves):
    with pytest.raises(ValueError, match="halves come in pairs, of four examples or more"):
        half_sample_errors(lambda rows: rows, examples, num_halves=halves)
