"""The minimum along a line is nowhere undercut on a fine grid."""

import numpy as np
import pytest

from layerscope.jobs.kernels.directprobe.line_search import minimise_along


@pytest.mark.parametrize("seed", range(30))
def test_no_other_place_is_lower(seed):
    rng = np.random.default_rng(seed)
    deficit, change = rng.normal(size=(2, int(rng.integers(1, 20))))
    # The first hinge falls along the line, so that there is somewhere to go.
    deficit[0], change[0] = 2, 3
    slope, curvature = float(rng.normal()) * (seed % 2), float(rng.random()) * (seed % 3)

    def value(s):
        return slope * s + curvature * s**2 / 2 + (np.maximum(deficit - s * change, 0) ** 2).sum() / 2

    best = minimise_along(deficit, change, slope=slope, curvature=curvature)
    if np.isinf(best):
        # It falls for ever, or never rises again.
        assert value(1e4) <= value(1e3) <= value(1e2) + 1e-9
        return
    assert best >= 0
    assert value(best) <= min(value(s) for s in np.linspace(0, 3 * best + 1, 2000)) + 1e-12


def test_a_function_that_only_rises_stays_where_it_is():
    assert minimise_along(np.array([1.0]), np.array([-1.0])) == 0
