"""A cluster that does not answer, told without a Ray."""

import socket
import time

import pytest

from layerscope.orchestrator.errors import PrerequisiteMissing
from layerscope.orchestrator.execution.ray_cluster import connected
from layerscope.orchestrator.experiment.cluster import Cluster
from layerscope.orchestrator.running import run_experiment
from layerscope.orchestrator.tracking.memory import MemoryTracker
from tests.orchestrator.bench import Bench


@pytest.fixture
def closed_port() -> int:
    """A port of this machine at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_an_address_where_nobody_answers_is_told_within_seconds(closed_port):
    began = time.monotonic()
    with (
        pytest.raises(PrerequisiteMissing, match=f"no Ray at 127.0.0.1:{closed_port}: .*refused"),
        connected(Cluster(address=f"127.0.0.1:{closed_port}")),
    ):
        pytest.fail("nobody is there to connect to")
    assert time.monotonic() - began < 10  # Ray's own attempts take minutes


def test_a_run_says_whether_it_starts_or_joins_a_ray(closed_port, tmp_path):
    cluster, told = Cluster(address=f"127.0.0.1:{closed_port}"), []
    with pytest.raises(PrerequisiteMissing):
        run_experiment(Bench(tmp_path).open(), cluster, MemoryTracker(), told.append)
    said = [event["text"] for event in told if event["event"] == "message"]
    assert said[-1] == f"joining Ray at 127.0.0.1:{closed_port}"
    assert said[0].startswith("bench: 1 variant, 0 stages stored, ")
