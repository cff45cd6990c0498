"""Processes that are killed before their gang has met, and trials that are killed while they take a stage."""

import time

import pytest

from layerscope.orchestrator.execution import ray_cluster
from layerscope.orchestrator.execution.scheduler import Schedule
from layerscope.orchestrator.experiment.cluster import Cluster
from layerscope.orchestrator.workspace import open_workspace
from tests.orchestrator.execution.mortal_trials import Fate, mortal_trial
from tests.tiny import write_experiment

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore::DeprecationWarning:ray", "ignore::FutureWarning:ray", "ignore:.*:ResourceWarning"
    ),
    pytest.mark.usefixtures("ray_of_two_cpus"),
    pytest.mark.timeout(600),
]

RECIPE = {"learning_rate": 1e-2, "epochs": 1, "batch_size": 8, "max_length": 32, "pooling": "mean"}
NOTHING = {"probe": False, "cka": False, "depth": False}
PATIENCE = 240.0
"""Seconds; those that are left would wait for ten minutes, or for ever."""


@pytest.fixture
def run(tmp_path, tiny_encoder, monkeypatch):
    """Two seeds in a run in which a process dies so often at a moment; the schedule, and how many died."""

    def run(moment: str, *, deaths: int, retries: int = 2) -> tuple[Schedule, int]:
        folder = tmp_path / "deaths"
        folder.mkdir()
        path = write_experiment(
            tmp_path / "tiny.yaml", tiny_encoder, recipe=RECIPE, measures=NOTHING, seeds=[0, 1]
        )
        workspace = open_workspace(path, store=tmp_path / "runs")
        workspace.store.create()
        schedule = workspace.schedule()
        monkeypatch.setattr(ray_cluster, "Trial", mortal_trial(Fate(moment, folder, deaths)))
        cluster = Cluster(workers=2, num_cpus=2, max_retries_of_lost_workers=retries)
        began = time.monotonic()
        ray_cluster.run_on_ray(schedule, cluster)
        assert time.monotonic() - began < PATIENCE
        return schedule, len(list(folder.iterdir()))

    return run


def states(schedule: Schedule) -> list[str]:
    return [schedule.state(one.stages["finetune"]) for one in schedule.plan.variants]


@pytest.mark.parametrize("moment", ["join", "reset"])
def test_one_loss_is_one_and_the_trial_goes_on(run, moment):
    schedule, num_deaths = run(moment, deaths=1, retries=1)
    assert num_deaths == 1
    assert states(schedule) == ["computed", "computed"]


@pytest.mark.parametrize(
    ("moment", "told"),
    [
        ("join", "process 2 of 2 was lost in its join: The actor died"),
        ("step", "the process that conducts the others: The actor died"),
    ],
)
def test_a_stage_that_loses_too_many_fails_and_says_how_the_last_was_lost(run, moment, told):
    schedule, num_deaths = run(moment, deaths=2, retries=1)
    assert num_deaths == 2
    assert states(schedule) == ["failed", "computed"]
    reason = schedule.reason(schedule.plan.variants[0].stages["finetune"])
    assert reason.startswith(f"a worker of it was lost 2 times; the last time: {told}")


def test_a_trial_that_may_lose_nothing_fails_with_the_first_loss(run):
    schedule, num_deaths = run("reset", deaths=1, retries=0)
    assert num_deaths == 1
    assert states(schedule) == ["computed", "failed"]
    reason = schedule.reason(schedule.plan.variants[1].stages["finetune"])
    assert reason.startswith("a worker of it was lost once; the last time: the process that conducts")
