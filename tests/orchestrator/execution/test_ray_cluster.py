"""On a Ray of two CPUs and two GPUs that are not there: gangs, early stopping, and what is left behind."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from layerscope.orchestrator.errors import PrerequisiteMissing
from layerscope.orchestrator.execution.scheduler import Schedule
from layerscope.orchestrator.execution.serial import run_serially
from layerscope.orchestrator.experiment.cluster import Cluster
from layerscope.orchestrator.planning.plan import Stage
from layerscope.orchestrator.workspace import Workspace, open_workspace
from tests.tiny import write_experiment

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore::DeprecationWarning:ray", "ignore::FutureWarning:ray", "ignore:.*:ResourceWarning"
    ),
    pytest.mark.usefixtures("ray_of_two_cpus"),
]

TWO = Cluster(workers=2, num_cpus=2, checkpoint_seconds=0.001)
# The first learns; the others stand still, and are behind it when two evaluations have passed.
LEARNING_RATES = [1e-2, 1e-6, 1e-7]
TASK = {
    "task": "topic",
    "data": {"source": "sample", "target": "topic", "num_train": 120, "num_test": 60, "seed": 1},
    "validation": {"fraction": 0.4, "seed": 0},
}
RECIPE = {"learning_rate": 1e-2, "epochs": 4, "batch_size": 8, "max_length": 32, "pooling": "mean"}
NOTHING = {"probe": False, "cka": False, "depth": False}
HALVING = {"grace_period": 2, "reduction_factor": 2}


@dataclass(frozen=True)
class Halved:
    """Three variants of which early stopping has ended two."""

    folder: Path
    workspace: Workspace
    schedule: Schedule
    results: list[tuple[Stage, dict[str, Any]]]
    actors: list[Any]
    """Processes of gangs that Ray ever started for it."""


@pytest.fixture(scope="module")
def halved(ray_of_two_cpus, tmp_path_factory, tiny_encoder) -> Halved:
    from layerscope.orchestrator.execution.ray_cluster import run_on_ray

    folder = tmp_path_factory.mktemp("halved")
    workspace = opened(folder, tiny_encoder, early_stopping=HALVING)
    workspace.store.create()
    schedule, results = workspace.schedule(), []
    before = {actor.actor_id for actor in gang_processes()}
    run_on_ray(
        schedule,
        TWO,
        early_stopping=workspace.experiment.early_stopping,
        on_result=lambda stage, result: results.append((stage, result)),
    )
    actors = [actor for actor in gang_processes() if actor.actor_id not in before]
    return Halved(folder, workspace, schedule, results, actors)


def opened(folder: Path, encoder: Path, **changes: Any) -> Workspace:
    settings = {"tasks": [TASK], "recipe": RECIPE, "measures": NOTHING}
    settings |= {"grid": {"learning_rate": LEARNING_RATES}}
    path = write_experiment(folder / "tiny.yaml", encoder, **(settings | changes))
    return open_workspace(path, store=folder / "runs")


def gang_processes() -> list[Any]:
    from ray.util.state import list_actors

    return list_actors(filters=[("class_name", "=", "GangProcess")], limit=1000, address=this_ray())


def this_ray() -> str:
    """Other Rays may run on this machine."""
    import ray

    return ray.get_runtime_context().gcs_address


def eventually(is_true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 60
    while not is_true() and time.monotonic() < deadline:
        time.sleep(0.2)
    return is_true()


def test_a_gang_serves_one_trial_after_the_other(halved):
    assert len({stage.key for stage, _ in halved.results}) == 3
    assert len({result["pid"] for _, result in halved.results}) == 1
    assert len(halved.actors) == 2


def test_no_process_and_no_reservation_is_left_when_the_run_is_over(halved):
    from ray.util.state import list_actors, list_placement_groups

    assert eventually(
        lambda: {actor.state for actor in list_actors(limit=1000, address=this_ray())} == {"DEAD"}
    )
    assert eventually(
        lambda: {group.state for group in list_placement_groups(address=this_ray())} == {"REMOVED"}
    )


def test_early_stopping_ends_the_variants_that_fall_behind(halved):
    states = [halved.schedule.state(one.stages["finetune"]) for one in halved.schedule.plan.variants]
    assert states == ["computed", "stopped", "stopped"]
    stopped = halved.schedule.plan.variants[1].stages["finetune"]
    assert halved.schedule.reason(stopped).startswith(
        "stopped after 2 evaluations at validation accuracy 0.1"
    )
    assert sum(stage.key == stopped.key for stage, _ in halved.results) == 2


def test_a_stopped_training_leaves_nothing_in_the_checkpoints_of_the_next(halved):
    last = halved.schedule.plan.variants[2].stages["finetune"]
    checkpoint = halved.workspace.store.scratch(last) / "checkpoint"
    assert [path.name for path in checkpoint.glob("model*")] == ["model.safetensors"]


def test_a_stopped_variant_is_remembered_and_shown_as_stopped(halved):
    from layerscope.orchestrator.showing import status_object

    again = halved.workspace.schedule()
    assert again.is_over
    shown = status_object(halved.workspace.study(again))["variants"]
    assert [one["state"] for one in shown] == ["done", "stopped", "stopped"]


def test_without_early_stopping_a_variant_that_was_stopped_runs_to_its_end(halved, tiny_encoder):
    whole = opened(halved.folder, tiny_encoder, grid={"learning_rate": LEARNING_RATES[:2]}).schedule()
    run_serially(whole)
    first, second = (variant.stages["finetune"] for variant in whole.plan.variants)
    assert (whole.state(first), whole.state(second)) == ("stored", "computed")
    assert whole.store.record(second)["metrics"]["train/steps"] == 36


def test_a_search_ends_with_its_trials_and_proposes_nothing_when_run_again(tmp_path, tiny_encoder):
    from layerscope.orchestrator.execution.ray_cluster import run_on_ray
    from layerscope.orchestrator.search.optuna_search import OptunaSearch

    space = {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}
    search = {"space": space, "trials": 3, "startup_trials": 2}
    workspace = opened(tmp_path, tiny_encoder, grid={}, search=search)
    workspace.store.create()

    def work() -> tuple[Schedule, list[str]]:
        started: list[str] = []
        schedule = workspace.schedule(
            lambda event: started.append(event["key"]) if event["event"] == "stage_started" else None
        )
        proposals = OptunaSearch(workspace.experiment, schedule, workspace.plan, at_once=1)
        run_on_ray(schedule, TWO, refill=proposals.refill)
        return schedule, started

    schedule, started = work()
    assert len(started) == 1 + 3
    assert [schedule.state(one.stages["finetune"]) for one in schedule.plan.variants] == ["computed"] * 3
    _, started = work()
    assert started == []


def test_processes_of_a_gang_get_a_gpu_each_and_others_see_none(ray_of_two_cpus):
    import ray

    from layerscope.orchestrator.execution.gang import bundles, start_processes

    seen = []
    for gpus in (1, 0):
        cluster = Cluster(workers=2, num_cpus=2, gpus_per_worker=gpus)
        group = ray.util.placement_group(bundles(cluster), strategy="PACK")
        assert group.wait(60)
        processes = start_processes(cluster, group)
        asked = [one.__ray_call__.remote(lambda _: os.environ["CUDA_VISIBLE_DEVICES"]) for one in processes]
        seen.append(sorted(ray.get(asked)))
        for process in processes:
            ray.kill(process)
        ray.util.remove_placement_group(group)
    assert seen == [["0", "1"], ["", ""]]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"workers": 4},
            "2 CPU, but a trial of 4 workers takes 3.01 and a task beside it 0.45",
        ),
        ({"gpus_per_worker": 1, "task_gpus": 1}, "the cluster has 2 GPU, but a trial of 2 workers takes 2"),
        ({"cpus_per_worker": 3}, "no machine of the cluster holds a worker of 3 CPUs and 0 GPUs"),
        ({"task_cpus": 3}, "no machine of the cluster holds a task of 3 CPUs and 0 GPUs"),
    ],
)
def test_what_can_never_be_placed_is_refused(changes, told):
    from layerscope.orchestrator.execution.room import most_trials_at_once

    with pytest.raises(PrerequisiteMissing, match=told):
        most_trials_at_once(Cluster(**changes))


@pytest.mark.parametrize(
    ("changes", "at_once"),
    [
        ({"workers": 2}, 1),
        ({"workers": 1, "cpus_per_worker": 0.2}, 7),
        ({"workers": 1, "cpus_per_worker": 0.2, "gpus_per_worker": 0.5, "task_gpus": 0.5}, 3),
        ({"workers": 1, "cpus_per_worker": 0.2, "max_concurrent_trials": 2}, 2),
    ],
)
def test_as_many_trials_run_at_once_as_leave_room_for_a_task(changes, at_once):
    from layerscope.orchestrator.execution.room import most_trials_at_once

    assert most_trials_at_once(Cluster(**changes)) == at_once


@pytest.mark.parametrize("address", [None, "127.0.0.1:9"])
def test_a_ray_that_the_program_had_before_stays_when_another_cannot_be_had(address):
    import ray

    from layerscope.orchestrator.execution.ray_cluster import connected

    with pytest.raises(PrerequisiteMissing), connected(Cluster(address=address)):
        pytest.fail("a program has one Ray")
    assert ray.is_initialized()
    assert ray.cluster_resources()["CPU"] == 2
