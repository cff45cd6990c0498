"""Runs a schedule on Ray: trainings as Tune trials, everything else as Ray tasks beside them."""

import contextlib
import logging
import os
import pickle
import shutil
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune import Callback, CheckpointConfig, FailureConfig, RunConfig, TuneConfig, Tuner

from layerscope.orchestrator.errors import PrerequisiteMissing
from layerscope.orchestrator.execution.early_stopping import METRIC, make_scheduler
from layerscope.orchestrator.execution.folder_for_ray import folder_for_ray
from layerscope.orchestrator.execution.ray_tasks import RayTasks
from layerscope.orchestrator.execution.room import most_trials_at_once
from layerscope.orchestrator.execution.scheduler import Schedule
from layerscope.orchestrator.execution.tune_searcher import TuneSearcher
from layerscope.orchestrator.execution.tune_trials import Order, Trial, resources
from layerscope.orchestrator.execution.worker import first_line, lost
from layerscope.orchestrator.experiment.cluster import Cluster
from layerscope.orchestrator.experiment.experiment import EarlyStopping
from layerscope.orchestrator.planning.metrics import metric_of
from layerscope.orchestrator.planning.plan import Stage

TUNE_SETTINGS = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "1000000",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TRAIN_V2_ENABLED": "0",
}


LOCAL_SETTINGS = {"RAY_idle_worker_killing_time_threshold_ms": "600000"}
"""A process that computed a measure is kept for the next one: by default Ray ends it after a second, and
every measure would import torch again."""
SECONDS_TO_ANSWER = 5.0
"""That the head of a cluster has."""


@contextlib.contextmanager
def connected(cluster: Cluster) -> Iterator[None]:
    """Join the cluster, or start one on this machine, for as long as the block lasts.

    Raises:
        PrerequisiteMissing: there is no cluster at the address, or Ray cannot start here.
    """
    os.environ |= TUNE_SETTINGS
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if cluster.address is None:
        _start_here(cluster.num_cpus, options)
    else:
        _join(cluster.address, options)
    try:
        yield
    finally:
        ray.shutdown()


def _start_here(num_cpus: int | None, options: Mapping[str, Any]) -> None:
    os.environ |= LOCAL_SETTINGS | os.environ
    folder = folder_for_ray(os.environ)
    if os.environ.get("TMPDIR") and folder.parent != Path(os.environ["TMPDIR"]).absolute():
        # Processes of Ray that Python starts have sockets there too.
        os.environ["TMPDIR"] = str(folder)
    try:
        ray.init(address="local", num_cpus=num_cpus, include_dashboard=True, _temp_dir=str(folder), **options)
    except Exception as error:  # Ray has no error of its own for a start that fails.
        raise PrerequisiteMissing(
            f"Ray cannot start on this machine: {_ends(error)}; its sockets and logs are in {folder} "
            "(RAY_TMPDIR names another short path); --serial computes without Ray"
        ) from error


def _ends(error: Exception) -> str:
    """The first and the last line of an error: of a process that did not start, Ray shows the log."""
    first = first_line(error)
    last = str(error).strip().rpartition("\n")[2].strip()
    return first if last in ("", first) else f"{first} ... {last}"


def _join(address: str, options: Mapping[str, Any]) -> None:
    if ":" in address:
        _refuse_where_nobody_answers(address)
    try:
        ray.init(address=address, **options)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise PrerequisiteMissing(f"no Ray at {address}: {error}") from error


def _refuse_where_nobody_answers(address: str) -> None:
    """Raise PrerequisiteMissing at once: Ray itself tries for many minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=SECONDS_TO_ANSWER).close()
    except OSError as error:
        raise PrerequisiteMissing(
            f"no Ray at {address}: {error}; the head of a cluster says its address when `ray start --head` "
            "starts it"
        ) from error


def run_on_ray(
    schedule: Schedule,
    cluster: Cluster,
    *,
    refill: Callable[[], bool] = lambda: False,
    early_stopping: EarlyStopping | None = None,
    on_result: Callable[[Stage, dict[str, Any]], None] = lambda stage, result: None,
) -> None:
    """Work until nothing can start, on the Ray this process is connected to."""
    tasks = RayTasks(schedule, cluster)
    conductor = _Conductor(schedule, tasks, on_result, max_losses=cluster.max_retries_of_lost_workers)

    def poll_and_refill() -> bool:
        # While no trial exists, Tune asks for one again and again and does nothing else.
        tasks.poll()
        return refill()

    folder = schedule.store.root / ".tune"
    at_once = most_trials_at_once(cluster)
    try:
        while not schedule.is_over or refill():
            _fit(
                schedule,
                cluster,
                conductor,
                refill=poll_and_refill,
                early_stopping=early_stopping,
                folder=folder,
                at_once=at_once,
            )
            tasks.poll(timeout=0.5)
            may_go_on = tasks.num_running or schedule.first_ready() or schedule.is_over
            assert may_go_on, "the run would wait for ever"
    finally:
        tasks.cancel()
        shutil.rmtree(folder, ignore_errors=True)


def _fit(
    schedule: Schedule,
    cluster: Cluster,
    conductor: "_Conductor",
    *,
    refill: Callable[[], bool],
    early_stopping: EarlyStopping | None,
    folder: Path,
    at_once: int,
) -> None:
    def describe(stage: Stage) -> dict[str, Any]:
        return {"order": Order(stage, schedule.store, cluster, schedule.labels(stage))}

    feed = TuneSearcher(schedule, refill, describe, max_concurrent=at_once)
    if not feed.has_work():
        return
    tuner = Tuner(
        tune.with_resources(Trial, resources(cluster)),
        tune_config=TuneConfig(
            search_alg=feed, scheduler=make_scheduler(early_stopping), num_samples=-1, reuse_actors=True
        ),
        run_config=RunConfig(
            name=f"run-{time.time_ns()}",
            storage_path=str(folder),
            verbose=0,
            callbacks=[conductor],
            checkpoint_config=CheckpointConfig(checkpoint_at_end=False),
            failure_config=FailureConfig(max_failures=cluster.max_retries_of_lost_workers),
        ),
    )
    tuner.fit()


class _Conductor(Callback):
    """Runs inside Tune's loop: submits and collects tasks, and tells the schedule how trials ended.

    Tune counts the loss of a trial's actor twice while it takes over another stage, both times in one
    iteration, and gives the trial up: the stage is then put back, and comes as another trial.
    """

    def __init__(
        self,
        schedule: Schedule,
        tasks: RayTasks,
        on_result: Callable[[Stage, dict[str, Any]], None],
        *,
        max_losses: int,
    ) -> None:
        self._schedule, self._tasks, self._on_result = schedule, tasks, on_result
        self._max_losses = max_losses
        self._losses: Counter[str] = Counter()
        """Of a stage's workers, by its key."""
        self._lost_at: dict[str, int] = {}
        """The iteration of Tune's loop in which each trial last lost one, by its id."""

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its callbacks for `Tuner.restore`, which is not used."""
        return {}

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self._tasks.poll()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self._on_result(_stage_of(trial), result)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        stage, result = _stage_of(trial), trial.last_result
        if "failure" in result:
            self._schedule.fail(stage, result["failure"])
        elif "metrics" in result:
            self._schedule.finish(stage, result["metrics"])
        else:
            name, best = metric_of(stage, result, "validation"), result[METRIC]
            self._schedule.stop(
                stage, f"stopped after {result['evaluations']} evaluations at validation {name} {best:.4f}"
            )

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._losses[_stage_of(trial).key] += 1
        self._lost_at[trial.trial_id] = iteration

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        stage = _stage_of(trial)
        if self._lost_at.get(trial.trial_id) != iteration:
            self._losses[stage.key] += 1
        if self._losses[stage.key] <= self._max_losses:
            self._schedule.start_again(stage)
        else:
            self._schedule.fail(stage, lost(self._losses[stage.key], _reason_of_loss(trial)))


def _reason_of_loss(trial: Any) -> str:
    """The last error of a trial; Tune looks for it where it is copied to only later."""
    try:
        with Path(trial.pickled_error_file).open("rb") as file:
            error = pickle.load(file)
    except (OSError, TypeError, pickle.UnpicklingError):
        return "no reason is known"
    if isinstance(error, ray.exceptions.RayActorError):
        return f"the process that conducts the others: {first_line(error)}"
    return first_line(getattr(error, "cause", None) or error)


def _stage_of(trial: Any) -> Stage:
    stage: Stage = trial.config["order"].stage
    return stage
