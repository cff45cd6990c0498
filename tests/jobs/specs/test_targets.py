"""Scales of metrics: each has one, and the scores that are computed lie in it."""

import typing

import numpy as np
import pytest

from layerscope.jobs.encoders.targets import scores_of
from layerscope.jobs.specs.targets import METRICS, SCALES, Metric, scale_of, scale_of_differences


def test_every_metric_has_a_scale():
    assert set(SCALES) == {*typing.get_args(Metric), "loss"}
    assert {metric for metrics in METRICS.values() for metric in metrics} == set(typing.get_args(Metric))


@pytest.mark.parametrize("target, width", [("label", 2), ("label", 4), ("number", 1), ("choice", 3)])
def test_every_score_of_a_split_lies_in_its_scale(target, width):
    rng = np.random.default_rng(0)
    for _ in range(20):
        targets = rng.normal(size=12) if target == "number" else rng.integers(width, size=12)
        for name, value in scores_of(
            targets, rng.normal(size=(12, width)), prefix="test", target=target
        ).items():
            low, high = scale_of(name.removeprefix("test/"))
            assert low <= value <= high


def test_differences_have_twice_the_width():
    assert scale_of_differences("accuracy") == (-1, 1) and scale_of_differences("pearson") == (-2, 2)


def test_a_name_without_a_scale_is_refused_with_those_that_have_one():
    with pytest.raises(ValueError, match="'speed' is no metric with a scale: those are accuracy, macro_f1"):
        scale_of("speed")
