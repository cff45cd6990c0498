"""The schedule against the obvious one, and how much work an event costs in a plan of many variants."""

import random
from collections import Counter

import pytest

from layerscope.orchestrator.execution import scheduler, stage_states
from layerscope.orchestrator.execution.scheduler import Schedule
from layerscope.orchestrator.store.artifacts import Store
from tests.orchestrator.bench import Bench
from tests.orchestrator.execution.naive_schedule import NaiveSchedule
from tests.orchestrator.function_calls import counted_calls

TWO_STARTS = {"more": {"steps": 3}, "further": {"steps": 3, "after": "more"}}
CHANGES = {
    "pretraining": TWO_STARTS,
    "grid": {"pretraining": ["none", "more", "further"], "layer_decay": [1.0, 0.9]},
    "seeds": [0, 1],
    "measures": {"cka_between": ["seeds"], "num_train": 10, "num_test": 10},
}
SOME_STORED = 0.2


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.mark.parametrize("seed", range(12))
def test_it_decides_as_the_obvious_schedule_does(bench, seed):
    draw = random.Random(seed)
    variants = list(bench.plan(**CHANGES).variants)
    draw.shuffle(variants)
    for stage in bench.open(**CHANGES).schedule().plan.stages().values():
        if draw.random() < SOME_STORED:
            bench.finish(stage, {})
    both = [made(Store(bench.store), honour_stops=True) for made in (Schedule, NaiveSchedule)]
    num_events = 0
    while variants or not both[1].is_over:
        if variants and draw.random() < 0.3:
            some, variants = variants[:3], variants[3:]
            for schedule in both:
                schedule.add(some)
        happens(both, draw)
        num_events += 1
        assert_alike(*both)
    assert num_events > 10


def happens(both, draw: random.Random) -> None:
    """The same event in both: a stage begins, or one that runs ends in some way."""
    ready, running = both[1].ready(), both[1].running()
    if ready and (not running or draw.random() < 0.5):
        stage = draw.choice(ready)
        for schedule in both:
            schedule.start(stage)
    elif running:
        stage, end = draw.choice(running), draw.random()
        for schedule in both:
            if end < 0.6:
                schedule.finish(stage, {})
            elif end < 0.8:
                schedule.fail(stage, "no")
            else:
                schedule.stop(stage, "fell behind")


def assert_alike(schedule: Schedule, naive: NaiveSchedule) -> None:
    stages = list(naive.plan.stages().values())
    assert [schedule.state(stage) for stage in stages] == [naive.state(stage) for stage in stages]
    assert [schedule.reason(stage) for stage in stages] == [naive.reason(stage) for stage in stages]
    assert schedule.ready() == naive.ready()
    assert schedule.first_ready() == naive.first_ready()
    assert schedule.counts() == naive.counts()
    assert schedule.is_over == naive.is_over
    assert [schedule.labels(stage) for stage in stages] == [naive.labels(stage) for stage in stages]


@pytest.mark.parametrize("end", ["finish", "fail"])
def test_an_event_costs_the_same_in_a_small_plan_and_in_a_large_one(bench, end):
    small, large = (cost_of_a_training(bench, num_seeds, end) for num_seeds in (4, 32))
    assert small == large and small["start"] == 1


def cost_of_a_training(bench, num_seeds: int, end: str) -> Counter:
    """What is called when one of the trainings begins and ends."""
    schedule = Schedule(Store(bench.store / str(num_seeds)))
    schedule.add(bench.plan(seeds=list(range(num_seeds))).variants)
    while (stage := schedule.first_ready()).kind != "finetune":
        schedule.start(stage)
        schedule.finish(stage, {})
    with counted_calls(scheduler, stage_states) as counts:
        running = schedule.first_ready("finetune")
        schedule.start(running)
        schedule.finish(running, {}) if end == "finish" else schedule.fail(running, "no")
    assert schedule.num_waiting(["finetune"]) == num_seeds - 1
    return counts
