"""Whether the machines of a cluster can hold a trial and a task, each process whole on one of them."""

import pytest

from layerscope.orchestrator.execution.room import Machine, can_place
from layerscope.orchestrator.experiment.cluster import Cluster


@pytest.mark.parametrize(
    ("machines", "workers", "fits"),
    [
        ([(4, 0)], 1, True),
        ([(4, 0)], 2, False),  # Two workers of two leave nothing for a task.
        ([(3, 0), (3, 0), (3, 0)], 3, True),
        ([(3, 0), (3, 0), (3, 0)], 4, False),  # Nine CPUs, of which no machine has two pairs.
        ([(8, 0), (1, 0)], 4, True),  # The task fits beside, on the small one.
        ([(2, 0), (2, 0)], 2, False),
        ([], 1, False),
    ],
)
def test_workers_are_not_divided_among_machines(machines, workers, fits):
    cluster = Cluster(workers=workers, cpus_per_worker=2)
    assert can_place(cluster, [Machine(*machine) for machine in machines]) == fits


def test_a_gpu_for_a_task_is_kept_beside_those_of_the_workers():
    cluster = Cluster(workers=2, cpus_per_worker=1, gpus_per_worker=1, task_gpus=0.5)
    assert can_place(cluster, [Machine(8, 3)])
    assert not can_place(cluster, [Machine(8, 2)])
    assert can_place(cluster, [Machine(8, 2), Machine(1, 1)])
    assert not can_place(cluster, [Machine(8, 2), Machine(0.1, 1)])
