"""A gang: the actors that train one stage together, one process each, inside a placement group."""

import contextlib
import importlib
import os
import socket
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import ray
from ray.util.placement_group import PlacementGroup
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from layerscope.jobs.context import LOG
from layerscope.jobs.measures import module_of
from layerscope.orchestrator.errors import WorkerLost
from layerscope.orchestrator.execution.worker import (
    first_line,
    make_context,
    reporting_failure,
    send_output_to,
)
from layerscope.orchestrator.experiment.cluster import Cluster
from layerscope.orchestrator.planning.plan import Stage
from layerscope.orchestrator.store.artifacts import Store
from layerscope.orchestrator.store.provenance import provenance

if TYPE_CHECKING:
    from layerscope.jobs.training.loop import TrainingLoop


def bundles(cluster: Cluster) -> list[dict[str, float]]:
    """What a gang reserves: one small bundle for its conductor and one for each process."""
    worker = {"CPU": cluster.cpus_per_worker}
    if cluster.gpus_per_worker:
        worker["GPU"] = cluster.gpus_per_worker
    return [{"CPU": cluster.trial_cpus}] + [dict(worker) for _ in range(cluster.workers)]


def start_processes(cluster: Cluster, group: PlacementGroup) -> list[Any]:
    """One actor in each bundle of a gang but the conductor's; they have not met yet."""
    return [
        ray.remote(GangProcess)
        .options(
            num_cpus=cluster.cpus_per_worker,
            num_gpus=cluster.gpus_per_worker,
            scheduling_strategy=PlacementGroupSchedulingStrategy(
                group, placement_group_bundle_index=1 + rank
            ),
        )
        .remote(
            rank=rank,
            num_processes=cluster.workers,
            use_gpu=cluster.gpus_per_worker > 0,
            micro_batch_size=cluster.micro_batch_size,
        )
        for rank in range(cluster.workers)
    ]


class Gang:
    """N processes that stay together from one training to the next.

    Its methods raise StageFailed where the stage itself went wrong, and WorkerLost or a RayError where a
    process or its machine was lost: then the gang is of no more use, and the stage is worth another try.
    A gang that could not meet has ended its processes.
    """

    def __init__(self, cluster: Cluster, group: PlacementGroup) -> None:
        self._workers = start_processes(cluster, group)
        try:
            address, port = self._first("meeting_point")
            self._all("join", address, port)
        except BaseException:
            # Those that are left wait for the lost one, and whoever started them would wait for them.
            self.close()
            raise

    def begin(self, stage: Stage, store: Store, labels: Mapping[str, Any]) -> dict[str, Any]:
        """Load a training, from its checkpoint where there is one.

        Returns `num_evaluations` of the whole training.
        """
        begun: dict[str, Any] = self._all("begin", stage, store, dict(labels))
        return begun

    def advance(self, *, save: bool) -> dict[str, Any]:
        """Train to the next evaluation, or point of the curves; after the last the artifact is committed."""
        result: dict[str, Any] = self._all("advance", save)
        return result

    def close(self) -> None:
        """End the processes."""
        for worker in self._workers:
            ray.kill(worker)

    def _first(self, method: str, *arguments: Any) -> Any:
        return self._answer(getattr(self._workers[0], method).remote(*arguments), 0, method)

    def _all(self, method: str, *arguments: Any) -> Any:
        """Call every process and return what the first one answers; the first error ends the wait."""
        calls = [getattr(worker, method).remote(*arguments) for worker in self._workers]
        waiting = list(calls)
        answers = {}
        while waiting:
            (done,), waiting = ray.wait(waiting, num_returns=1)
            answers[done] = self._answer(done, calls.index(done), method)
        return answers[calls[0]]

    def _answer(self, call: Any, rank: int, method: str) -> Any:
        try:
            return ray.get(call)
        except ray.exceptions.RayTaskError:
            raise
        except ray.exceptions.RayError as error:
            what = f"process {rank + 1} of {len(self._workers)} was lost in its {method}"
            raise WorkerLost(f"{what}: {first_line(error)}") from None


class GangProcess:
    """One process of a gang."""

    def __init__(self, *, rank: int, num_processes: int, use_gpu: bool, micro_batch_size: int | None) -> None:
        if not use_gpu:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        self._rank, self._num_processes, self._use_gpu = rank, num_processes, use_gpu
        self._micro_batch_size = micro_batch_size
        self._open = contextlib.ExitStack()
        self._training: TrainingLoop | None = None

    def meeting_point(self) -> tuple[str, int]:
        """Address and a free port of this node, where the gang can meet."""
        with socket.socket() as probe:
            probe.bind(("", 0))
            return ray.util.get_node_ip_address(), probe.getsockname()[1]

    def join(self, address: str, port: int) -> None:
        from layerscope.jobs.processes import Place, join

        self._accelerator = join(Place(self._rank, self._num_processes, address, port), use_gpu=self._use_gpu)

    def begin(self, stage: Stage, store: Store, labels: dict[str, Any]) -> dict[str, Any]:
        self._set_up(stage, store)
        self._labels = labels
        with self._telling_losses_from_failures():
            module = importlib.import_module(module_of(stage.kind))
            self._training = module.begin(stage.spec, self._context)
        return {"num_evaluations": self._training.num_evaluations}

    def advance(self, save: bool) -> dict[str, Any]:
        training = self._training
        assert training is not None
        with self._telling_losses_from_failures():
            result: dict[str, Any] = {} if training.is_over else dict(training.advance())
            if training.is_over:
                result["metrics"] = training.finish()
                self._commit(result["metrics"], {"variant": self._labels} if self._labels else {})
                self._release()
            elif save:
                training.save()
        return result

    def _set_up(self, stage: Stage, store: Store) -> None:
        # A training that was stopped early is still held; its weights would go into the next checkpoints.
        self._release()
        self._stage, self._store, self._started = stage, store, time.time()
        send_output_to(store.scratch(stage) / LOG)
        aside = self._open.enter_context(store.writing(stage))
        self._context = make_context(
            stage, store, aside, device=str(self._accelerator.device), is_main=self._rank == 0
        )
        self._context.accelerator = self._accelerator
        self._context.micro_batch_size = self._micro_batch_size

    def _commit(self, metrics: Mapping[str, float], labels: Mapping[str, Any]) -> None:
        if self._rank == 0:
            origin = provenance(
                started=self._started,
                seconds=time.time() - self._started,
                workers=self._num_processes,
                device=str(self._accelerator.device.type),
            )
            self._store.commit(
                self._stage, self._context.out, metrics=metrics, provenance={**origin, **labels}
            )

    def _release(self) -> None:
        from layerscope.jobs.processes import release

        self._open.close()
        self._training = None
        release(self._accelerator)

    @contextlib.contextmanager
    def _telling_losses_from_failures(self) -> Iterator[None]:
        """An error of the stage is one StageFailed; the loss of another process is no error of the stage."""
        from layerscope.jobs.processes import is_loss_of_another

        with reporting_failure(self._stage, self._store):
            try:
                yield
            except Exception as error:
                self._open.close()
                if is_loss_of_another(error):
                    raise WorkerLost(f"process {self._rank} lost another one: {error}") from None
                raise
