"""Runs a schedule on Ray: trainings as Tune trials, everything else as Ray tasks beside them."""

import contextlib
import logging
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune import Callback, CheckpointConfig, FailureConfig, RunConfig, TuneConfig, Tuner

from orchestrator.errors import PrerequisiteMissing
from orchestrator.execution.gang import bundles
from orchestrator.execution.ray_tasks import RayTasks
from orchestrator.execution.tune_trials import Order, Trial, resources
from orchestrator.experiment.cluster import Cluster
from orchestrator.experiment.experiment import EarlyStopping
from orchestrator.planning.metrics import metric_of
from orchestrator.planning.plan import Stage
from orchestrator.search.early_stopping import METRIC, make_scheduler
from orchestrator.search.feed import Feed
from orchestrator.search.schedule import Schedule

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
        PrerequisiteMissing: there is no cluster at the address, or it can never hold a trial beside a task.
    """
    os.environ |= TUNE_SETTINGS
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if cluster.address is None:
        os.environ |= LOCAL_SETTINGS | os.environ
        options |= {"num_cpus": cluster.num_cpus, "include_dashboard": True}
    elif ":" in cluster.address:
        _refuse_where_nobody_answers(cluster.address)
    try:
        ray.init(address=cluster.address or "local", **options)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        where = cluster.address or "this machine"
        raise PrerequisiteMissing(f"no Ray at {where}: {error}") from error
    try:
        yield
    finally:
        ray.shutdown()


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


def most_trials_at_once(cluster: Cluster) -> int:
    """How many trials the connected cluster holds while one task still has room beside them.

    Raises:
        PrerequisiteMissing: not even one.
    """
    have = ray.cluster_resources()
    gang = bundles(cluster)
    _check_every_process_fits_a_machine(cluster)
    fits = cluster.max_concurrent_trials or 1_000_000
    for resource, task in (("CPU", cluster.task_cpus), ("GPU", cluster.task_gpus)):
        need = sum(bundle.get(resource, 0) for bundle in gang)
        total = have.get(resource, 0)
        if need + task > total + 1e-9:
            raise PrerequisiteMissing(
                f"the cluster has {total:g} {resource}, but a trial of {cluster.workers} workers takes "
                f"{need:g} and a task beside it {task:g}: lower workers, {resource.lower()}s_per_worker or "
                f"task_{resource.lower()}s in the cluster file"
            )
        if need:
            fits = min(fits, int((total - task + 1e-9) / need))
    return fits


def _check_every_process_fits_a_machine(cluster: Cluster) -> None:
    """Raise PrerequisiteMissing for a process that Ray would wait for in silence, for ever."""
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for what, cpus, gpus in (
        ("worker", cluster.cpus_per_worker, cluster.gpus_per_worker),
        ("task", cluster.task_cpus, cluster.task_gpus),
    ):
        if not any(cpus <= one.get("CPU", 0) and gpus <= one.get("GPU", 0) for one in machines):
            sizes = ", ".join(
                sorted({f"{one.get('CPU', 0):g} CPUs and {one.get('GPU', 0):g} GPUs" for one in machines})
            )
            suffix = "cpus_per_worker or gpus_per_worker" if what == "worker" else "task_cpus or task_gpus"
            raise PrerequisiteMissing(
                f"no machine of the cluster holds a {what} of {cpus:g} CPUs and {gpus:g} GPUs "
                f"(there are machines of {sizes}): lower {suffix} in the cluster file"
            )


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
    conductor = _Conductor(schedule, tasks, on_result)

    def poll_and_refill() -> bool:
        # While no trial exists, Tune asks for one again and again and does nothing else.
        tasks.poll()
        return refill()

    folder = schedule.store.root / ".tune"
    try:
        _fit(
            schedule,
            cluster,
            conductor,
            refill=poll_and_refill,
            early_stopping=early_stopping,
            folder=folder,
        )
        while not schedule.is_over:
            tasks.poll(timeout=0.5)
            assert tasks.num_running or schedule.is_over, "the run would wait for ever"
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
) -> None:
    def describe(stage: Stage) -> dict[str, Any]:
        return {"order": Order(stage, schedule.store, cluster, schedule.labels(stage))}

    feed = Feed(schedule, refill, describe, max_concurrent=most_trials_at_once(cluster))
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
    """Runs inside Tune's loop: submits and collects tasks, and tells the schedule how trials ended."""

    def __init__(
        self,
        schedule: Schedule,
        tasks: RayTasks,
        on_result: Callable[[Stage, dict[str, Any]], None],
    ) -> None:
        self._schedule, self._tasks, self._on_result = schedule, tasks, on_result

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its callbacks for `Tuner.restore`, which is not used."""
        return {}

    def on_step_begin(self, iteration: int, trials: list, **info: Any) -> None:
        self._tasks.poll()

    def on_trial_result(self, iteration: int, trials: list, trial: Any, result: dict, **info: Any) -> None:
        self._on_result(_stage_of(trial), result)

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
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

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        stage = _stage_of(trial)
        last = str(trial.get_error()).strip().splitlines()
        reason = last[-1] if last else "no message"
        lost = f"its workers were lost {trial.num_failures} times"
        self._schedule.fail(stage, f"{lost}; the last time: {reason}")


def _stage_of(trial: Any) -> Stage:
    return trial.config["order"].stage
