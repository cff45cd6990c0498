"""A cluster that does not answer, told without a Ray."""

import socket
import time

import pytest

from orchestrator.errors import PrerequisiteMissing
from orchestrator.execution.ray_cluster import connected
from orchestrator.experiment.cluster import Cluster


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
