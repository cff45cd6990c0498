"""The command line, with real processes that are killed, terminated, interrupted, or find no server."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from layerscope.jobs.training.checkpoints import PROGRESS
from tests.tiny import look_at, make_encoder, write_experiment

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from layerscope.orchestrator.cli import main; main()"]
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
pytestmark = pytest.mark.ray
PATIENCE = 240.0
"""Seconds until something that must happen counts as never happening; a busy machine takes a while."""

# Evaluations follow each other within a second, and each is followed by a checkpoint.
CLUSTER = "num_cpus: 2\nworkers: 2\ncheckpoint_seconds: 0.05\n"
LONG = {"learning_rate": 5e-3, "epochs": 12, "batch_size": 8, "max_length": 32, "pooling": "mean"}
GRID = {"layer_decay": [1.0, 0.9, 0.8]}
MEASURES = {"num_train": 40, "num_test": 40, "probe": False, "cka": False}


@pytest.fixture(scope="module")
def place(tmp_path_factory, empty_mlflow) -> Path:
    """Three variants, with dropout: a resumed training must find its random numbers again.

    Stores that are named after what happens to a training have MLflow's database already.
    """
    folder = tmp_path_factory.mktemp("kills")
    encoder = make_encoder(folder / "encoder")
    look_at(write_experiment(folder / "tiny.yaml", encoder, recipe=LONG, grid=GRID, measures=MEASURES))
    (folder / "cluster.yaml").write_text(CLUSTER, encoding="utf-8")
    with_database(folder / "bereft", empty_mlflow)
    return folder


def with_database(store: Path, empty_mlflow: Path) -> None:
    """Begin a store with MLflow's database, whose making takes seconds."""
    store.mkdir()
    shutil.copy(empty_mlflow, store / "mlflow.db")


@pytest.fixture(scope="module")
def undisturbed(place) -> list[dict]:
    """The table of a run that nothing happens to."""
    with Started(place, "undisturbed") as run:
        assert run.wait(PATIENCE) == 0
    return table(place, "undisturbed")


class Started:
    """A run as a user starts it, with a process group of its own as in a terminal."""

    def __init__(self, place: Path, store: str, *options: str) -> None:
        self._place, self._store, self._options = place, store, options

    def __enter__(self) -> subprocess.Popen:
        command = [*COMMAND, "run", "tiny.yaml", "--store", self._store, "--cluster", "cluster.yaml"]
        self._run = subprocess.Popen(
            [*command, *self._options],
            cwd=self._place,
            env=os.environ | ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return self._run

    def __exit__(self, *_: object) -> None:
        if self._run.poll() is None:
            self._run.kill()
        self._run.communicate()


def table(place: Path, store: str) -> list[dict]:
    command = [*COMMAND, "compare", "tiny.yaml", "--store", store, "--format", "json"]
    shown = subprocess.run(
        command, cwd=place, env=os.environ | ENVIRONMENT, capture_output=True, text=True, check=True
    )
    rows = json.loads(shown.stdout)
    assert rows
    return [row for row in rows if not row["metric"].startswith("train/")]


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def processes_of(run: subprocess.Popen) -> list[psutil.Process]:
    return psutil.Process(run.pid).children(recursive=True)


def gang_of(run: subprocess.Popen) -> Iterator[psutil.Process]:
    for process in processes_of(run):
        try:
            if process.cmdline()[0].startswith("ray::GangProcess"):
                yield process
        except (psutil.Error, IndexError):
            continue


def are_gone(processes: list[psutil.Process]) -> bool:
    return not any(map(is_alive, processes))


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it ended between the two questions
        return False


def is_training(place: Path, store: str) -> bool:
    return any((place / store / ".scratch" / "finetune").glob(f"*/checkpoint/{PROGRESS}"))


def num_trained(place: Path, store: str) -> int:
    return len(list((place / store / "finetune").glob("*/record.json")))


def keys_shown_twice(place: Path, store: str) -> list[str]:
    with sqlite3.connect(place / store / "mlflow.db") as database:
        rows = database.execute(
            "select value from tags join runs using (run_uuid) where key = 'layerscope.key' "
            "and lifecycle_stage = 'active' group by value having count(*) > 1"
        ).fetchall()
    database.close()
    return [value for (value,) in rows]


@pytest.mark.timeout(1200)
def test_a_run_that_was_killed_terminated_and_interrupted_ends_as_if_nothing_had_happened(place, undisturbed):
    with Started(place, "disturbed") as run:
        wait_for(lambda: num_trained(place, "disturbed") == 1 or run.poll() is not None)
        processes = processes_of(run)
        run.kill()
        run.wait(PATIENCE)
    wait_for(lambda: are_gone(processes))
    assert 1 <= num_trained(place, "disturbed") < 3

    for stop in (signal.SIGTERM, signal.SIGINT):
        with Started(place, "disturbed") as run:
            before = num_trained(place, "disturbed")
            wait_for(lambda: is_training(place, "disturbed") and len(list(gang_of(run))) == 2)  # noqa: B023
            processes = processes_of(run)
            # Ctrl-C in a terminal reaches every process of the foreground; kill only the one it names.
            os.killpg(run.pid, stop) if stop == signal.SIGINT else run.terminate()
            _, errors = run.communicate(timeout=PATIENCE)
        assert run.returncode == 130
        assert "interrupted: run the same command again to resume" in errors
        assert "Traceback" not in errors
        wait_for(lambda: are_gone(processes))  # noqa: B023
        assert num_trained(place, "disturbed") >= before

    with Started(place, "disturbed", "--json") as run:
        output, _ = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0
    finished = json.loads(output.splitlines()[-1])
    assert finished["variants"] == {"done": 3, "stopped": 0, "failed": 0}
    assert finished["stages"]["stored"] >= 1
    assert table(place, "disturbed") == undisturbed
    assert keys_shown_twice(place, "disturbed") == []


@pytest.mark.timeout(600)
def test_a_training_that_loses_a_process_goes_on_from_its_checkpoint(place, undisturbed):
    with Started(place, "bereft", "--json") as run:
        wait_for(lambda: is_training(place, "bereft"))
        next(gang_of(run)).kill()
        output, _ = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0
    events = [json.loads(line) for line in output.splitlines()]
    steps = [one["step"] for one in events if one["event"] == "trial_result"]
    assert not [one for one in events if one["event"] == "stage_failed"]
    assert steps[: steps.index(max(steps))].count(min(steps)) == 1, "it began anew"
    assert table(place, "bereft") == undisturbed


@pytest.mark.timeout(600)
def test_a_pretraining_that_loses_a_process_goes_on_from_its_checkpoint(place, tmp_path, empty_mlflow):
    training = {"steps": 400, "batch_size": 4, "block_length": 32, "snapshots": [100], "learning_rate": 1e-3}
    write_experiment(
        tmp_path / "tiny.yaml",
        place / "encoder",
        pretraining={"more": training},
        grid={"pretraining": ["more", "more@100"]},
        recipe=LONG | {"epochs": 1},
        measures=MEASURES | {"depth": False},
    )
    (tmp_path / "cluster.yaml").write_text(CLUSTER, encoding="utf-8")
    with_database(tmp_path / "bereft", empty_mlflow)
    with Started(tmp_path, "bereft", "--json") as run:
        wait_for(
            lambda: any((tmp_path / "bereft" / ".scratch" / "pretrain").glob(f"*/checkpoint/{PROGRESS}"))
        )
        killed = time.time()
        next(gang_of(run)).kill()
        output, _ = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0
    assert json.loads(output.splitlines()[-1])["variants"] == {"done": 2, "stopped": 0, "failed": 0}
    (artifact,) = (tmp_path / "bereft" / "pretrain").iterdir()
    lines = [json.loads(line) for line in (artifact / "curves.jsonl").read_text().splitlines()]
    points = [line for line in lines if "train/mlm_loss" in line["values"]]
    assert [point["step"] for point in points] == list(range(8, 401, 8))
    # A run that begins anew begins its curves anew.
    assert points[0]["time"] < killed < points[-1]["time"]
    assert (artifact / "step-100" / "model.safetensors").exists()


@pytest.mark.timeout(900)
def test_a_joint_training_and_a_head_that_lose_a_process_go_on_from_their_checkpoints(
    place, tmp_path, empty_mlflow
):
    data = {"source": "sample", "num_train": 120, "num_test": 24, "seed": 1}
    names = {"topic": "topic", "mood": "sentiment"}
    joint = {"steps": 150, "batch_size": 4, "learning_rate": 1e-3, "max_length": 32}
    write_experiment(
        tmp_path / "tiny.yaml",
        place / "encoder",
        tasks=[{"task": name, "data": data | {"target": target}} for name, target in names.items()],
        multi_task={"joint": joint},
        grid={"pretraining": ["joint"], "features": ["last-2"]},
        recipe=LONG | {"epochs": 30},
        measures=MEASURES | {"depth": False},
    )
    (tmp_path / "cluster.yaml").write_text(CLUSTER, encoding="utf-8")
    with_database(tmp_path / "bereft", empty_mlflow)
    killed = {}
    with Started(tmp_path, "bereft", "--json") as run:
        for kind in ("multitask", "feature_head"):
            saved = (tmp_path / "bereft" / ".scratch" / kind).glob
            wait_for(lambda: any(saved(f"*/checkpoint/{PROGRESS}")) or run.poll() is not None)  # noqa: B023
            killed[kind] = time.time()
            next(gang_of(run)).kill()
        run.communicate(timeout=PATIENCE)
    assert run.returncode == 0
    for kind, moment in killed.items():
        artifacts = list((tmp_path / "bereft" / kind).iterdir())
        times = [times_of_curves(artifact) for artifact in artifacts]
        # A run that begins anew begins its curves anew.
        assert any(each[0] < moment < each[-1] for each in times), kind


def times_of_curves(artifact: Path) -> list[float]:
    return [json.loads(line)["time"] for line in (artifact / "curves.jsonl").read_text().splitlines()]


def test_a_trial_that_can_never_be_placed_is_refused_before_anything_starts(place):
    cores = os.cpu_count()
    (place / "large.yaml").write_text(f"workers: 8\ncpus_per_worker: {cores}\n", encoding="utf-8")
    with Started(place, "refused", "--cluster", "large.yaml") as run:
        output, errors = run.communicate(timeout=PATIENCE)
    assert run.returncode == 4
    takes = f"a trial of 8 workers takes {8 * cores + 0.01:g} and a task beside it 0.45"
    assert f"the cluster has {cores} CPU, but {takes}" in errors
    assert "lower workers, cpus_per_worker or task_cpus in the cluster file" in errors
    assert "done in" not in output
    assert not (place / "refused" / "prepare").exists()


@pytest.mark.timeout(600)
def test_a_tracking_server_that_is_down_costs_no_result_and_is_told_later(place):
    with Started(place, "unseen", "--serial", "--tracking-uri", "http://127.0.0.1:9") as run:
        output, errors = run.communicate(timeout=PATIENCE)
    assert run.returncode == 3
    assert len(errors.splitlines()) == 1
    assert "MLflow at http://127.0.0.1:9 cannot be reached" in errors
    assert "7 pages not sent to MLflow yet: see `layerscope publish`" in output
    assert num_trained(place, "unseen") == 3

    shown = subprocess.run(
        [
            *COMMAND,
            "publish",
            "tiny.yaml",
            "--store",
            "unseen",
            "--tracking-uri",
            "sqlite:///unseen/mlflow.db",
        ],
        cwd=place,
        env=os.environ | ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.startswith("runs published to ") and shown.stdout.endswith(": 7\n")
    assert keys_shown_twice(place, "unseen") == []
