"""A cluster file says what each kind of stage takes."""

from pathlib import Path

import pytest

from layerscope.orchestrator.errors import ConfigurationError
from layerscope.orchestrator.experiment.cluster import Cluster, at_address, read_cluster

CLUSTERS = Path("configs/clusters")


@pytest.mark.parametrize("path", sorted(CLUSTERS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_cluster_loads_and_names_every_field(path):
    cluster = read_cluster(path, {})
    assert cluster.model_fields_set == set(Cluster.model_fields)


def test_without_a_file_the_cluster_is_the_shipped_laptop():
    assert read_cluster(None, {}) == Cluster() == read_cluster(CLUSTERS / "laptop.yaml", {})


def test_a_laptop_with_two_cores_has_room_for_a_measure_beside_a_trial():
    laptop = Cluster()
    assert laptop.trial_cpus + laptop.workers * laptop.cpus_per_worker + laptop.task_cpus <= 2


def test_trial_and_measure_share_one_gpu():
    cluster = read_cluster(CLUSTERS / "one_gpu.yaml", {})
    assert cluster.workers * cluster.gpus_per_worker + cluster.task_gpus <= 1


def test_the_address_is_read_from_the_environment():
    path = CLUSTERS / "ray_cluster.yaml"
    assert read_cluster(path, {}).address == "auto"
    assert read_cluster(path, {"RAY_ADDRESS": "head:6379"}).address == "head:6379"


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        (
            "address: here\nworkers: 2\ngpus_per_worker: 0.5\ncpus_per_workers: 2\n",
            [
                "1:10: address: must be auto or HOST:PORT, not the text 'here'",
                "3:18: gpus_per_worker: must be 0 or 1 with 2 workers, not 0.5; a share needs workers: 1",
                "4:1: cpus_per_workers: unknown key (did you mean 'cpus_per_worker'?)",
            ],
        ),
        (
            "num_cpus: 1\n",
            [
                "1:1: trial_cpus: a trial (trial_cpus + workers x cpus_per_worker) would take 1.51 CPUs and "
                "never start: num_cpus is 1"
            ],
        ),
        (
            "num_cpus: 2\ntask_cpus: 3\n",
            ["2:12: task_cpus: a task would take 3 CPUs and never start: num_cpus is 2"],
        ),
        (
            "address: auto\nnum_cpus: 2\n",
            ["2:11: num_cpus: is only for a Ray that is started here: leave it out, or leave out address"],
        ),
        ("trial_cpus: 0\n", ["1:13: trial_cpus: must be a number above 0, not 0"]),
    ],
)
def test_faults_are_told_with_their_places(tmp_path, text, faults):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        read_cluster(path, {})
    assert str(refused.value).splitlines() == [f"{path}:{fault}" for fault in faults]


def test_an_address_of_the_command_line_replaces_the_one_of_the_file():
    cluster = at_address(Cluster(num_cpus=4), "head:6379")
    assert (cluster.address, cluster.num_cpus) == ("head:6379", None)
    with pytest.raises(ConfigurationError, match="--address: must be auto or HOST:PORT, not 'ray:"):
        at_address(Cluster(), "ray://head:10001")
