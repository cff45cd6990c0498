"""A Ray that is started where the job's folder for temporary files has a path too long for sockets."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = """
import os
from layerscope.orchestrator.execution.ray_cluster import connected
from layerscope.orchestrator.experiment.cluster import Cluster
with connected(Cluster(num_cpus=2)):
    import ray
    print(ray.cluster_resources()["CPU"], os.environ["TMPDIR"])
"""


@pytest.mark.ray
def test_ray_starts_under_a_long_tmpdir(tmp_path):
    long = tmp_path / ("a" * 60) / ("b" * 60)
    long.mkdir(parents=True)
    started = subprocess.run(
        [sys.executable, "-c", CODE],
        env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(long), "RAY_TMPDIR": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert started.stdout == f"2.0 /tmp/ray-{os.getuid()}\n", started.stderr
    assert "is too long for sockets" in started.stderr
