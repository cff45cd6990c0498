"""MLflow refusing, hanging, gone, and killed in the middle of a run."""

import logging
import os
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, TEMPORARILY_UNAVAILABLE

from layerscope.jobs.artifacts.curves import Point
from layerscope.orchestrator.errors import PrerequisiteMissing, TrackerUnavailable
from layerscope.orchestrator.tracking.mlflow_runs import MlflowTracker
from layerscope.orchestrator.tracking.publishing import Publisher
from layerscope.orchestrator.tracking.tracker import Dataset, Page

# MLflow 3.17 asks SQLAlchemy 2.1 for a loader that is going away.
pytestmark = pytest.mark.filterwarnings("ignore:The ..noload.. loader strategy:DeprecationWarning")

EXPERIMENT = "served"
PAGE = Page(key="variant:0", level="variant", name="seed=0", parent=None, status="running")


@pytest.fixture
def database(empty_mlflow, tmp_path):
    shutil.copy(empty_mlflow, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture
def tracker(database):
    tracker = MlflowTracker(database)
    yield tracker
    tracker.close()


def runs_in(uri: str) -> list:
    client = MlflowClient(uri)
    return client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_artifacts_of_a_local_database_lie_beside_it(tracker, tmp_path):
    tracker.publish(EXPERIMENT, replace(PAGE, texts={"experiment.yaml": "name: x\n"}))
    (path,) = (tmp_path / "mlartifacts").rglob("experiment.yaml")
    assert path.read_text() == "name: x\n"


def test_a_dataset_is_shown_once_as_an_input(tracker, database):
    page = replace(PAGE, dataset=Dataset("trec", "0123456789abcdef", "prepare/0123456789abcdef"))
    tracker.publish(EXPERIMENT, page)
    tracker.publish(EXPERIMENT, replace(page, status="finished"))
    (run,) = runs_in(database)
    assert [given.dataset.name for given in run.inputs.dataset_inputs] == ["trec"]


def test_times_are_those_of_the_page_also_when_its_end_moves(tracker, database):
    for ended in (1060.5, 1080.0):
        tracker.publish(EXPERIMENT, replace(PAGE, began=1000.0, ended=ended, status="finished"))
        (run,) = runs_in(database)
        assert (run.info.start_time, run.info.end_time) == (1_000_000, 1000 * ended)


def test_an_unchanged_page_writes_nothing_after_a_restart(database, tmp_path):
    page = replace(PAGE, points=(Point("train/loss", 1, 1000.0, 2.0),), texts={"a.txt": "a"})
    contents = []
    for _ in range(2):
        tracker = MlflowTracker(database)
        tracker.publish(EXPERIMENT, page)
        tracker.close()
        contents.append((tmp_path / "mlflow.db").read_bytes())
    assert contents[0] == contents[1]


def test_a_deleted_experiment_is_named_with_a_command_that_restores_it(tracker, database, monkeypatch):
    from mlflow.experiments import commands

    tracker.publish(EXPERIMENT, PAGE)
    client = MlflowClient(database)
    client.delete_experiment(client.get_experiment_by_name(EXPERIMENT).experiment_id)
    tracker = MlflowTracker(database)
    with pytest.raises(PrerequisiteMissing, match="'served' was deleted: restore it with `env ") as error:
        tracker.publish(EXPERIMENT, PAGE)
    advised = str(error.value).split("`")[1]
    env, setting, mlflow, group, *arguments = shlex.split(advised)
    assert (env, mlflow, group) == ("env", "mlflow", commands.name)
    monkeypatch.setenv(*setting.split("=", maxsplit=1))
    restored = CliRunner().invoke(commands, arguments)
    assert restored.exit_code == 0, restored.output
    tracker.publish(EXPERIMENT, PAGE)
    assert len(runs_in(database)) == 1


def test_a_command_that_is_advised_shows_no_password(monkeypatch):
    deleted = Experiment("7", EXPERIMENT, artifact_location="", lifecycle_stage="deleted")
    monkeypatch.setattr(MlflowClient, "get_experiment_by_name", lambda client, name: deleted)
    with pytest.raises(PrerequisiteMissing) as error:
        MlflowTracker("http://me:secret@host:5000").publish(EXPERIMENT, PAGE)
    assert str(error.value).split("`")[1] == (
        "env MLFLOW_TRACKING_URI='http://***@host:5000' mlflow experiments restore -x 7"
    )


def test_values_that_a_database_refuses_are_shown_without_what_it_refuses(tracker, database):
    spoilt = "a\ud800b\0c"
    tracker.publish(
        EXPERIMENT, replace(PAGE, name=spoilt, params={"p": spoilt}, tags={"t": spoilt}, texts={"a": spoilt})
    )
    (run,) = runs_in(database)
    assert (run.info.run_name, run.data.params["p"], run.data.tags["t"]) == ("a?b?c",) * 3


def test_a_run_deleted_while_it_is_published_is_made_again_with_all_its_points(tracker, database):
    page = replace(PAGE, points=(Point("train/loss", 1, 1000.0, 2.0),))
    tracker.publish(EXPERIMENT, page)
    client = MlflowClient(database)
    experiment_id = client.get_experiment_by_name(EXPERIMENT).experiment_id
    client.delete_run(client.search_runs([experiment_id])[0].info.run_id)
    grown = replace(page, points=(*page.points, Point("train/loss", 2, 1001.0, 1.0)))
    with pytest.raises(MlflowException):
        tracker.publish(EXPERIMENT, grown)
    tracker.publish(EXPERIMENT, grown)
    (run,) = client.search_runs([experiment_id])
    assert len(client.get_metric_history(run.info.run_id, "train/loss")) == 2


def test_a_refused_connection_is_an_outage_at_once_and_shows_no_password():
    tracker = MlflowTracker(f"http://user:secret@127.0.0.1:{free_port()}")
    started = time.monotonic()
    with pytest.raises(
        TrackerUnavailable, match=r"MLflow at http://\*\*\*@127.0.0.1:\d+ cannot be reached"
    ) as error:
        tracker.publish(EXPERIMENT, PAGE)
    assert time.monotonic() - started < 10
    assert "secret" not in str(error.value)


def test_a_server_that_hangs_is_an_outage_after_seconds(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        tracker = MlflowTracker(f"http://127.0.0.1:{deaf.getsockname()[1]}")
        started = time.monotonic()
        with pytest.raises(TrackerUnavailable, match="cannot be reached"):
            tracker.publish(EXPERIMENT, PAGE)
        assert time.monotonic() - started < 15


def test_an_address_of_no_kind_that_mlflow_serves_is_refused():
    with pytest.raises(ValueError, match="unsupported tracking address"):
        MlflowTracker("mlruns")


def answer(status: int) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(response=response)


def caused_by(cause: Exception) -> Exception:
    error = MlflowException("it did not work")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "is_outage"),
    [
        (requests.Timeout(), True),
        (answer(503), True),
        (answer(403), False),
        (MlflowException("locked", TEMPORARILY_UNAVAILABLE), True),
        (MlflowException("bad name", INVALID_PARAMETER_VALUE), False),
        (ValueError("a mistake"), False),
        (caused_by(requests.Timeout()), True),
        (caused_by(answer(403)), False),
    ],
)
def test_only_what_may_pass_is_an_outage(error, is_outage, monkeypatch):
    def fail(client, name):
        raise error

    monkeypatch.setattr(MlflowClient, "get_experiment_by_name", fail)
    with pytest.raises(Exception) as told:
        MlflowTracker("http://nowhere:5000").publish(EXPERIMENT, PAGE)
    assert isinstance(told.value, TrackerUnavailable) if is_outage else told.value is error


class Server:
    """A real tracking server, which can be killed and started again at the same address."""

    def __init__(self, folder, database):
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._folder, self._database = folder, database
        self._process = None

    def start(self):
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", self._database]
        command += ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self._folder / "server.log").open("a") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self._folder,
                env=os.environ | settings,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=2):
                    return
            except OSError:
                time.sleep(0.1)
        pytest.fail((self._folder / "server.log").read_text())

    def kill(self):
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@pytest.fixture
def server(database, tmp_path):
    server = Server(tmp_path, database)
    yield server
    server.kill()


@pytest.mark.slow
def test_a_server_killed_and_started_again_holds_everything_once(server, caplog):
    caplog.set_level(logging.INFO)
    study = Page(
        key="study:1", level="study", name="study", parent=None, status="running", texts={"a.yaml": "a: 1"}
    )

    def pages(num_steps):
        points = tuple(Point("train/loss", step, 1000.0 + step, 1 / (step + 1)) for step in range(num_steps))
        return [study, replace(PAGE, parent=study.key, points=points)]

    server.start()
    server.wait()
    tracker = MlflowTracker(server.uri)
    publisher = Publisher(tracker, EXPERIMENT, shortest_pause=0.05, longest_pause=0.2)
    client = MlflowClient(server.uri)
    steps = iter(range(10, 10_000))

    def offer_until(condition):
        end = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < end, "it did not happen in time"
            publisher.offer(pages(next(steps)))
            time.sleep(0.02)

    def num_held():
        found = client.get_experiment_by_name(EXPERIMENT)
        runs = (
            client.search_runs([found.experiment_id], f"tags.`layerscope.key` = '{PAGE.key}'")
            if found
            else []
        )
        return len(client.get_metric_history(runs[0].info.run_id, "train/loss")) if runs else 0

    offer_until(lambda: num_held() >= 10)
    server.kill()
    offer_until(lambda: any("cannot be reached" in record.getMessage() for record in caplog.records))
    server.start()
    server.wait()
    held_before = num_held()
    offer_until(lambda: num_held() > held_before)
    last = next(steps)
    publisher.offer(pages(last))
    assert publisher.close(20) == 0
    tracker.close()
    assert sum("cannot be reached" in record.getMessage() for record in caplog.records) == 1
    assert caplog.records[-1].getMessage() == "the tracker is available again"
    runs = runs_in(server.uri)
    run_by_key = {run.data.tags["layerscope.key"]: run for run in runs}
    assert len(runs) == len(run_by_key) == 2
    variant = run_by_key[PAGE.key]
    assert variant.data.tags["mlflow.parentRunId"] == run_by_key[study.key].info.run_id
    steps_held = Counter(entry.step for entry in client.get_metric_history(variant.info.run_id, "train/loss"))
    assert steps_held == Counter(range(last))
    assert [file.path for file in client.list_artifacts(run_by_key[study.key].info.run_id)] == ["a.yaml"]


def half_migrated(uri: str, *, with_data: bool) -> Path:
    """Another database, as a kill amid the migrations leaves one: tables, and not the version they have."""
    if with_data:
        shown(uri)
    whole = Path(uri.removeprefix("sqlite:///"))
    path = shutil.copy(whole, whole.with_name("half.db"))
    with closing(sqlite3.connect(path)) as database:
        database.execute("delete from alembic_version")
        database.execute("drop table trace_info")
        database.commit()
    return path


def shown(uri: str) -> None:
    tracker = MlflowTracker(uri)
    try:
        tracker.publish(EXPERIMENT, PAGE)
    finally:
        tracker.close()


def test_a_half_made_database_that_holds_nothing_is_made_anew(database):
    uri = f"sqlite:///{half_migrated(database, with_data=False)}"
    shown(uri)
    assert MlflowClient(uri).get_experiment_by_name(EXPERIMENT) is not None


def test_a_half_made_database_with_data_stays_as_it_is(database):
    path = half_migrated(database, with_data=True)
    with pytest.raises((MlflowException, TrackerUnavailable)):
        shown(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as held:
        assert held.execute("select count(*) from runs").fetchone() == (1,)


def test_a_database_that_cannot_be_made_is_an_outage(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrackerUnavailable, match="mlflow.db cannot be created"):
        shown(f"sqlite:///{tmp_path}/file/mlflow.db")
