"""What `make test-fast` leaves out: a Ray starts in marked tests only."""

import subprocess
import sys

import pytest

from layerscope.orchestrator.errors import PrerequisiteMissing
from tests.tiny import write_experiment

CONNECTING = """
from layerscope.orchestrator.execution.ray_cluster import connected
from layerscope.orchestrator.experiment.cluster import Cluster
with connected(Cluster(num_cpus=2)):
    pass
"""
COMMAND = "from layerscope.orchestrator.cli import main; main()"


@pytest.mark.slow
def test_no_ray_starts_in_a_test_without_the_mark():
    done = subprocess.run([sys.executable, "-c", CONNECTING], capture_output=True, text=True, check=False)
    assert "PrerequisiteMissing" in done.stderr
    assert "is-marked-ray" in done.stderr


@pytest.mark.slow
def test_nor_in_a_command_that_it_runs(tmp_path, tiny_encoder):
    write_experiment(tmp_path / "tiny.yaml", tiny_encoder)
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "run", "tiny.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == PrerequisiteMissing.exit_code
    assert "is-marked-ray" in done.stderr


def test_tests_that_use_the_ray_of_the_session_are_marked(request):
    """Of those that were collected beside this one."""
    using = [item for item in request.session.items if "ray_of_two_cpus" in item.fixturenames]
    assert all(item.get_closest_marker("ray") for item in using)
