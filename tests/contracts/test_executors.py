"""What every executor keeps to: each stage once, a failure blocks only what rests on it, and resuming."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from layerscope.orchestrator.execution.scheduler import Schedule
from layerscope.orchestrator.execution.serial import run_serially
from layerscope.orchestrator.experiment.cluster import Cluster
from layerscope.orchestrator.workspace import open_workspace
from tests.tiny import write_experiment

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:ray", "ignore::FutureWarning:ray", "ignore:.*:ResourceWarning"
)

Executor = Callable[[Schedule], None]

# A learning rate at which the first steps overflow: an error of the stage, known only once it runs.
PRETRAINING = {"broken": {"steps": 6, "batch_size": 4, "block_length": 32, "learning_rate": 1e30}}
ONE_DOCUMENT = 1.01 / 24
"""Of the accuracy on the smallest split, which has 24."""
MICRO_BATCH_SIZE = 2
MEASURES = {"num_train": 40, "num_test": 40, "cka": False}
ONE_BREAKS = {"learning_rate": [1e-3], "pretraining": ["none", "broken"]}
GROWN = {"learning_rate": [1e-3, 5e-4], "pretraining": ["none", "broken"]}


@dataclass(frozen=True)
class Run:
    """A schedule that an executor has worked off, and what it said."""

    schedule: Schedule
    events: list[dict[str, Any]]

    def keys(self, event: str) -> Counter[str]:
        return Counter(one["key"] for one in self.events if one["event"] == event)

    def kinds(self, event: str) -> Counter[str]:
        return Counter(one["kind"] for one in self.events if one["event"] == event)


def work(executor: Executor, folder: Path, encoder: Path, grid: Mapping[str, Any]) -> Run:
    path = write_experiment(
        folder / "tiny.yaml", encoder, pretraining=PRETRAINING, grid=grid, measures=MEASURES
    )
    workspace = open_workspace(path, store=folder / "runs")
    workspace.store.create()
    events: list[dict[str, Any]] = []
    schedule = workspace.schedule(events.append)
    executor(schedule)
    return Run(schedule, events)


def run_on_a_gang_of_two(schedule: Schedule) -> None:
    from layerscope.orchestrator.execution.ray_cluster import run_on_ray

    run_on_ray(schedule, Cluster(workers=2, num_cpus=2, micro_batch_size=MICRO_BATCH_SIZE))


def run_in_this_process(schedule: Schedule) -> None:
    run_serially(schedule, micro_batch_size=MICRO_BATCH_SIZE)


@dataclass(frozen=True)
class Story:
    """One store: a grid of which one cell breaks, and then the same grid with one more learning rate."""

    first: Run
    grown: Run


@pytest.fixture(scope="module")
def told_serially(tmp_path_factory, tiny_encoder) -> Story:
    return tell(run_in_this_process, tmp_path_factory.mktemp("serial"), tiny_encoder)


@pytest.fixture(scope="module", params=["serial", pytest.param("ray", marks=pytest.mark.ray)])
def story(request, tmp_path_factory, tiny_encoder) -> Story:
    if request.param == "serial":
        return request.getfixturevalue("told_serially")
    request.getfixturevalue("ray_of_two_cpus")
    return tell(run_on_a_gang_of_two, tmp_path_factory.mktemp("ray"), tiny_encoder)


def tell(executor: Executor, folder: Path, encoder: Path) -> Story:
    return Story(
        first=work(executor, folder, encoder, ONE_BREAKS), grown=work(executor, folder, encoder, GROWN)
    )


def test_every_stage_that_can_be_computed_is_computed_once(story):
    run = story.first
    assert run.kinds("stage_finished") == {
        "prepare": 1,
        "finetune": 1,
        "text_states": 2,
        "probe": 2,
        "depth": 1,
    }
    assert set(run.keys("stage_started").values()) == {1}
    assert all(run.schedule.store.has(one) for one in run.schedule.plan.stages().values() if done(run, one))


def done(run: Run, stage: Any) -> bool:
    return run.schedule.state(stage) in ("computed", "stored")


def test_workers_take_no_more_examples_at_once_than_they_are_given(story):
    (finetune, *_) = (one.stages["finetune"] for one in story.first.schedule.plan.variants)
    assert (
        story.first.schedule.store.record(finetune)["metrics"]["train/micro_batch_size"] == MICRO_BATCH_SIZE
    )


def test_one_failure_blocks_only_what_rests_on_it(story):
    schedule = story.first.schedule
    whole, broken = schedule.plan.variants
    assert {schedule.state(stage) for stage in whole.stages.values()} == {"computed"}
    assert schedule.state(broken.stages["pretrain"]) == "failed"
    assert schedule.state(broken.stages["finetune"]) == "blocked"
    assert schedule.reason(broken.stages["finetune"]) == f"pretrain {broken.stages['pretrain'].key} failed"
    assert not schedule.store.has(broken.stages["pretrain"])


def test_a_failure_says_what_was_wrong_and_where_its_log_is(story):
    schedule = story.first.schedule
    reason = schedule.reason(schedule.plan.variants[1].stages["pretrain"])
    assert reason.startswith("ValueError: pretraining diverged")
    assert reason.count("\n") == 0
    log = Path(reason.rpartition("(log: ")[2].rstrip(")"))
    assert "Traceback" in log.read_text(encoding="utf-8")


def test_the_next_run_computes_what_is_new_and_tries_again_what_failed(story):
    started = story.grown.keys("stage_started").keys()
    finished = story.first.keys("stage_finished").keys()
    assert story.grown.kinds("stage_started") == {
        "pretrain": 1,
        "finetune": 1,
        "text_states": 1,
        "probe": 1,
        "depth": 1,
    }
    assert not started & finished
    assert started & story.first.keys("stage_failed").keys() == story.grown.keys("stage_failed").keys()


def test_running_again_when_all_is_stored_computes_nothing(story, tiny_encoder):
    folder = story.first.schedule.store.root.parent
    again = work(lambda _: None, folder, tiny_encoder, {"learning_rate": [1e-3, 5e-4]})
    assert again.schedule.is_over
    assert set(again.schedule.counts()) == {"stored"}


def test_the_results_are_those_of_a_run_in_one_process(story, told_serially):
    # Without dropout the mean gradient of a gang is that of the whole batch but for the order in which
    # numbers are added, about 1e-6 a step. That moves no loss, but may decide about a document whose two best
    # classes are nearly even: one is allowed, since weights that hardly moved give many such.
    for run, serial in ((story.first, told_serially.first), (story.grown, told_serially.grown)):
        for stage in run.schedule.plan.stages().values():
            if done(run, stage) and stage.kind in ("finetune", "depth", "probe"):
                ours = run.schedule.store.record(stage)["metrics"]
                theirs = serial.schedule.store.record(stage)["metrics"]
                assert ours.keys() == theirs.keys()
                for name, value in theirs.items():
                    if name.endswith("loss"):
                        assert ours[name] == pytest.approx(value, abs=1e-3)
                    elif name.endswith("accuracy"):
                        assert ours[name] == pytest.approx(value, abs=ONE_DOCUMENT)


def test_nothing_is_left_beside_the_artifacts(story):
    root = story.first.schedule.store.root
    assert not list((root / ".aside").glob("*"))
    assert not (root / ".tune").exists()
