"""Usual steps: jumps do not say how long they are, and what is drawn is spread as what was seen."""

import numpy as np
import pytest

from layerscope.jobs.kernels.similarity.drift_steps import usual_steps


def test_a_jump_changes_nothing_and_is_cut_to_what_is_usual():
    rng = np.random.default_rng(0)
    steps = rng.gamma(4, 1 / 4, 12)
    with_jump, longer = steps.copy(), steps.copy()
    with_jump[steps.argmax()], longer[steps.argmax()] = 50, 500
    assert usual_steps(with_jump) == usual_steps(longer) == usual_steps(steps)
    assert usual_steps(steps).cut(steps) == pytest.approx(steps)
    assert usual_steps(steps).cut(longer).max() < 10


def test_steps_are_drawn_about_as_long_as_those_that_were_seen():
    rng = np.random.default_rng(1)
    steps = rng.gamma(9, 1 / 9, 400)
    drawn = usual_steps(steps).draw(4000, rng)
    for share in (0.1, 0.5, 0.9):
        assert np.quantile(drawn, share) == pytest.approx(np.quantile(steps, share), rel=0.1)


def test_equal_steps_are_drawn_equal_and_none_is_negative():
    rng = np.random.default_rng(2)
    assert usual_steps(np.full(6, 0.2)).draw(5, rng) == pytest.approx(0.2)
    noisy = usual_steps(np.array([-0.1, 0.0, 0.1, 0.3, 0.2, 0.1]))
    assert (noisy.draw(100, rng) > 0).all() and (noisy.cut(np.array([-1.0, 0.1])) > 0).all()
