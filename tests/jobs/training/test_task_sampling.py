import numpy as np
import pytest

from layerscope.jobs.training.task_sampling import task_order

SIZES = [900, 400, 100]


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        ("proportional", [9 / 14, 4 / 14, 1 / 14]),
        ("square-root", [30 / 60, 20 / 60, 10 / 60]),
        ("uniform", [1 / 3, 1 / 3, 1 / 3]),
    ],
)
def test_tasks_are_drawn_as_often_as_the_sampling_says(sampling, expected):
    order = task_order(SIZES, sampling=sampling, num_steps=20_000, seed=0)
    # Five standard deviations of a share of 20 000 draws are at most 0.018.
    assert np.bincount(order) / len(order) == pytest.approx(expected, abs=0.018)


def test_the_order_follows_from_the_seed_alone():
    first, again, other = (
        task_order(SIZES, sampling="proportional", num_steps=50, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again != other


def test_a_longer_training_begins_like_a_shorter_one():
    short, long = (task_order(SIZES, sampling="uniform", num_steps=steps, seed=0) for steps in (10, 30))
    assert long[:10] == short


def test_one_task_has_every_step():
    assert task_order([5], sampling="proportional", num_steps=4, seed=0) == [0, 0, 0, 0]
