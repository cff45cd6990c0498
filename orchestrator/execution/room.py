"""How many trials a connected cluster has room for, and whether it can ever place one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import ray

from layerscope.orchestrator.errors import PrerequisiteMissing
from layerscope.orchestrator.execution.gang import bundles
from layerscope.orchestrator.experiment.cluster import Cluster

EPSILON = 1e-9


@dataclass(frozen=True)
class Machine:
    """What is free on one machine."""

    cpus: float
    gpus: float

    def holds(self, cpus: float, gpus: float) -> int:
        """How many processes of a size it holds."""
        parts = [(self.cpus, cpus), (self.gpus, gpus)]
        return min((int((free + EPSILON) / need) for free, need in parts if need), default=1_000_000)

    def without(self, cpus: float, gpus: float) -> "Machine":
        """The same with one process of a size on it."""
        return Machine(self.cpus - cpus, self.gpus - gpus)


def most_trials_at_once(cluster: Cluster) -> int:
    """How many trials the connected cluster holds while one task still has room beside them.

    Raises:
        PrerequisiteMissing: not even one, or its processes do not fit the machines as they are.
    """
    machines = [
        Machine(node["Resources"].get("CPU", 0), node["Resources"].get("GPU", 0))
        for node in ray.nodes()
        if node["Alive"]
    ]
    sizes = ", ".join(sorted({f"{one.cpus:g} CPUs and {one.gpus:g} GPUs" for one in machines}))
    _check_each_process_fits(cluster, machines, sizes)
    fits = _most_by_totals(cluster)
    if not can_place(cluster, machines):
        raise PrerequisiteMissing(
            f"the cluster is large enough, but no division of its machines ({sizes}) holds {cluster.workers} "
            f"workers of {cluster.cpus_per_worker:g} CPUs and {cluster.gpus_per_worker:g} GPUs and a task of "
            f"{cluster.task_cpus:g} and {cluster.task_gpus:g}: lower these or workers in the cluster file"
        )
    return fits


def _most_by_totals(cluster: Cluster) -> int:
    have = ray.cluster_resources()
    gang = bundles(cluster)
    fits = cluster.max_concurrent_trials or 1_000_000
    for resource, task in (("CPU", cluster.task_cpus), ("GPU", cluster.task_gpus)):
        need = sum(bundle.get(resource, 0) for bundle in gang)
        total = have.get(resource, 0)
        if need + task > total + EPSILON:
            raise PrerequisiteMissing(
                f"the cluster has {total:g} {resource}, but a trial of {cluster.workers} workers takes "
                f"{need:g} and a task beside it {task:g}: lower workers, {resource.lower()}s_per_worker or "
                f"task_{resource.lower()}s in the cluster file"
            )
        if need:
            fits = min(fits, int((total - task + EPSILON) / need))
    return fits


def _check_each_process_fits(cluster: Cluster, machines: Sequence[Machine], sizes: str) -> None:
    """Raise PrerequisiteMissing for a process that Ray would wait for in silence, for ever."""
    for what, cpus, gpus in (
        ("worker", cluster.cpus_per_worker, cluster.gpus_per_worker),
        ("task", cluster.task_cpus, cluster.task_gpus),
    ):
        if not any(machine.holds(cpus, gpus) for machine in machines):
            suffix = "cpus_per_worker or gpus_per_worker" if what == "worker" else "task_cpus or task_gpus"
            raise PrerequisiteMissing(
                f"no machine of the cluster holds a {what} of {cpus:g} CPUs and {gpus:g} GPUs "
                f"(there are machines of {sizes}): lower {suffix} in the cluster file"
            )


def can_place(cluster: Cluster, machines: Sequence[Machine]) -> bool:
    """Whether the machines hold all processes of a trial and a task beside it, each whole on one of them."""
    worker = (cluster.cpus_per_worker, cluster.gpus_per_worker)
    others = [(cluster.task_cpus, cluster.task_gpus), (cluster.trial_cpus, 0.0)]
    return any(
        sum(machine.holds(*worker) for machine in left) >= cluster.workers
        for left in _placements(list(machines), others)
    )


def _placements(machines: list[Machine], sizes: Sequence[tuple[float, float]]) -> Iterator[list[Machine]]:
    """What is left of the machines when one process of each size is on some of them, in every way."""
    if not sizes:
        yield machines
        return
    (size, *rest) = sizes
    for machine in dict.fromkeys(machines):
        if machine.holds(*size):
            index = machines.index(machine)
            yield from _placements([*machines[:index], machine.without(*size), *machines[index + 1 :]], rest)
