"""A folder in which jobs.py and orchestrator/ are the user's own: ours are inside one package."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny import write_experiment

ROOT = Path(__file__).parents[2]
COMMAND = "from layerscope.orchestrator.cli import main; main()"
THEIRS = "raise SystemExit('a module of the user was imported')"


@pytest.fixture
def in_their_folder(tmp_path):
    """Runs code by Python in a folder with modules of these names; returns what is printed."""
    (tmp_path / "jobs.py").write_text(THEIRS, encoding="utf-8")
    for name in ("orchestrator", "configs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(THEIRS, encoding="utf-8")

    def in_their_folder(code: str, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return in_their_folder


@pytest.mark.slow
def test_measures_are_imported(in_their_folder):
    code = "from layerscope import cka_map, direct_probe; print(cka_map.__module__, direct_probe.__module__)"
    assert in_their_folder(code).split() == [
        "layerscope.jobs.kernels.similarity.cka",
        "layerscope.jobs.kernels.directprobe.directprobe",
    ]


def test_the_package_is_light_and_names_what_it_has_not(in_their_folder):
    code = "import layerscope, sys; print('numpy' in sys.modules, hasattr(layerscope, 'cka_mop'))"
    assert in_their_folder(code).split() == ["False", "False"]


@pytest.mark.ray
def test_the_command_and_ray_tasks_run(in_their_folder, tmp_path, tiny_encoder):
    write_experiment(tmp_path / "tiny.yaml", tiny_encoder, measures={"num_train": 40, "cka": False})
    told = in_their_folder(COMMAND, "run", "tiny.yaml", "--store", str(tmp_path / "runs"))
    assert "report.html" in told
    assert list((tmp_path / "runs" / "probe").iterdir())
