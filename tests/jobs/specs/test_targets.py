"""Scales of metrics: each has one, and the scores that are computed lie in it."""

import numpy as np
import pytest

from layerscope.jobs.specs.targets import METRICS, TARGET_FACTS, metric_named
from layerscope.jobs.targets.all import TARGETS


def test_every_name_is_that_of_one_metric_and_every_task_type_has_the_one_that_chooses_its_weights():
    for facts in TARGET_FACTS.values():
        assert facts.selected_by in [metric.name for metric in facts.metrics]
        assert all(METRICS[metric.name] == metric for metric in facts.metrics)


def test_a_mean_of_metrics_stands_after_them():
    for facts in TARGET_FACTS.values():
        names = [metric.name for metric in facts.metrics]
        for place, metric in enumerate(facts.metrics):
            assert bool(metric.mean_of) != bool(metric.function)
            assert set(metric.mean_of) <= set(names[:place])


def test_what_is_exported_says_how_people_load_it():
    for name, task in TARGETS.items():
        assert task.name == name
        assert bool(task.export) == bool(task.facts.loaded_as) == task.facts.has_one_answer
        assert bool(task.fit_heads) == task.facts.has_one_answer


@pytest.mark.parametrize("target, width", [("label", 2), ("label", 4), ("number", 1), ("choice", 3)])
def test_every_score_of_a_split_lies_in_its_scale(target, width):
    rng = np.random.default_rng(0)
    for _ in range(20):
        targets = rng.normal(size=12) if target == "number" else rng.integers(width, size=12)
        logits = rng.normal(size=(12, width))
        for name, value in TARGETS[target].scores(targets, logits, prefix="test").items():
            low, high = metric_named(name.removeprefix("test/")).scale
            assert low <= value <= high


def test_differences_have_twice_the_width():
    assert METRICS["accuracy"].scale_of_differences == (-1, 1)
    assert METRICS["pearson"].scale_of_differences == (-2, 2)


def test_a_name_without_a_scale_is_refused_with_those_that_have_one():
    with pytest.raises(ValueError, match="'speed' is not a metric with a scale: use accuracy, macro_f1"):
        metric_named("speed")
