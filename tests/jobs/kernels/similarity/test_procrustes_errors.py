"""Errors of Procrustes similarity: those of leaving out each example, and of rows that belong together."""

from functools import partial

import numpy as np
import pytest

from layerscope.jobs.kernels.similarity.cka_errors import cka_standard_errors
from layerscope.jobs.kernels.similarity.procrustes_errors import procrustes_errors
from layerscope.jobs.kernels.similarity.similarity_measures import similarity_map
from tests.jobs.kernels.similarity.test_cka_uncertainty import related_layers


def test_errors_are_those_of_leaving_out_each_example():
    a, b = related_layers(np.random.default_rng(0), num_examples=200, widths=[5, 7])
    left_out = np.array(
        [
            similarity_map([np.delete(a, row, 0)], [np.delete(b, row, 0)], "procrustes")[0, 0]
            for row in range(200)
        ]
    )
    jackknife = np.sqrt(199 / 200 * np.square(left_out - left_out.mean()).sum())
    across = procrustes_errors([a], [b])
    # The influence is the jackknife to first order: the next is of the size of features / examples.
    assert across[0, 0] == pytest.approx(jackknife, rel=0.06)
    within = procrustes_errors([a, b])
    assert within == pytest.approx(np.array([[0, across[0, 0]], [across[0, 0], 0]]), rel=1e-9)


def test_rotation_scale_and_shift_change_no_error():
    rng = np.random.default_rng(1)
    a, b = related_layers(rng, num_examples=100, widths=[5, 7])
    turned = 3 * b @ np.linalg.qr(rng.normal(size=(7, 7)))[0] + 2
    # Layers are read as float32.
    assert procrustes_errors([a], [turned]) == pytest.approx(procrustes_errors([a], [b]), rel=1e-4)


@pytest.mark.parametrize("errors", [procrustes_errors, partial(cka_standard_errors, debiased=False)])
def test_rows_of_one_example_count_as_one(errors):
    a, b = related_layers(np.random.default_rng(3), num_examples=60, widths=[5, 7])
    alone = errors([a], [b])[0, 0]
    threefold = [np.repeat(layer, 3, axis=0) for layer in (a, b)]
    together, apart = (errors(threefold[:1], threefold[1:], rows_per_example=rows)[0, 0] for rows in (3, 1))
    # Layers are read as float32.
    assert together == pytest.approx(alone, rel=1e-4)
    assert apart < 0.7 * alone


def test_a_constant_layer_has_no_error():
    (a,) = related_layers(np.random.default_rng(2), num_examples=50, widths=[4])
    found = procrustes_errors([a, np.ones((50, 3))])
    assert found[0, 0] == 0 and np.isnan(found[1]).all() and np.isnan(found[:, 1]).all()
