"""Stages as Ray tasks: submitted when their parents are stored, collected without waiting."""

import os
from dataclasses import dataclass
from typing import Any

import ray

from layerscope.jobs.context import LOG
from layerscope.orchestrator.errors import StageFailed
from layerscope.orchestrator.execution.scheduler import Schedule
from layerscope.orchestrator.execution.worker import compute, first_line, lost, reason_of, send_output_to
from layerscope.orchestrator.experiment.cluster import Cluster
from layerscope.orchestrator.planning.plan import TRAINED_KINDS, Stage
from layerscope.orchestrator.store.artifacts import Store


@dataclass(frozen=True)
class _Flight:
    stage: Stage
    losses: int


class RayTasks:
    """Every stage that needs one process only, as Ray tasks beside the running trials."""

    def __init__(self, schedule: Schedule, cluster: Cluster) -> None:
        self._schedule, self._cluster = schedule, cluster
        self._flights: dict[Any, _Flight] = {}

    @property
    def num_running(self) -> int:
        """Tasks that Ray was given and that have not been collected."""
        return len(self._flights)

    def poll(self, *, timeout: float = 0.0) -> None:
        """Collect what has ended, submit what is ready; waits for an end up to `timeout` seconds."""
        if self._flights:
            ended, _ = ray.wait(list(self._flights), num_returns=1, timeout=timeout)
            for reference in ended:
                self._collect(reference)
        for stage in self._schedule.ready(besides=TRAINED_KINDS):
            self._schedule.start(stage)
            self._submit(stage, losses=0)

    def cancel(self) -> None:
        """Give up what is running."""
        for reference in self._flights:
            ray.cancel(reference, force=True)
        self._flights.clear()

    def _submit(self, stage: Stage, *, losses: int) -> None:
        cluster, store = self._cluster, self._schedule.store
        task = _compute.options(num_cpus=cluster.task_cpus, num_gpus=cluster.task_gpus)
        reference = task.remote(stage, store, cluster.task_gpus > 0)
        self._flights[reference] = _Flight(stage, losses)

    def _collect(self, reference: Any) -> None:
        flight = self._flights.pop(reference)
        try:
            metrics = ray.get(reference)
        except StageFailed as error:
            self._schedule.fail(flight.stage, reason_of(error))
        except ray.exceptions.RayError as error:
            if flight.losses < self._cluster.max_retries_of_lost_workers:
                self._submit(flight.stage, losses=flight.losses + 1)
            else:
                self._schedule.fail(flight.stage, lost(flight.losses + 1, first_line(error)))
        else:
            self._schedule.finish(flight.stage, metrics)


@ray.remote(max_retries=0)
def _compute(stage: Stage, store: Store, use_gpu: bool) -> dict[str, float]:
    if not use_gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    send_output_to(store.scratch(stage) / LOG)
    return compute(stage, store, device="cuda" if use_gpu else "cpu")
