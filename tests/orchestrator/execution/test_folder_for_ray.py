"""Where a Ray that is started here has its sockets."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from layerscope.orchestrator.errors import PrerequisiteMissing
from layerscope.orchestrator.execution.folder_for_ray import LONGEST_FOLDER, folder_for_ray

LONG = "a-folder-of-a-batch-system/" * 5


@pytest.fixture
def short(tmp_path, monkeypatch) -> Path:
    """A short path of a folder of the test's own: pytest's are too long for sockets."""
    link = Path("/tmp") / f"r{os.getpid()}"
    link.symlink_to(tmp_path)
    yield link
    link.unlink()


def test_it_is_where_ray_itself_has_it(short):
    assert folder_for_ray({"TMPDIR": str(short)}) == short / "ray"
    assert folder_for_ray({"TMPDIR": "/nowhere", "RAY_TMPDIR": str(short)}) == short / "ray"
    assert folder_for_ray({}, system_folder=short) == short / "ray"


def test_a_long_tmpdir_is_left_for_the_system_folder_and_it_is_said(short, tmp_path, caplog):
    long = tmp_path / LONG
    folder = folder_for_ray({"TMPDIR": str(long)}, system_folder=short)
    assert folder == short / f"ray-{os.getuid()}"
    assert folder.is_dir()
    assert f"TMPDIR: {long / 'ray'} is too long for sockets" in caplog.text
    assert f"Ray's sockets, logs and temporary files are in {folder}" in caplog.text


def test_a_tmpdir_that_cannot_be_written_is_left_too(short, caplog):
    (short / "file").write_text("")
    folder = folder_for_ray({"TMPDIR": str(short / "file")}, system_folder=short)
    assert folder == short / f"ray-{os.getuid()}"
    assert "cannot be written: Not a directory" in caplog.text


def test_a_tmpdir_that_does_not_exist_is_made(short):
    folder = folder_for_ray({"TMPDIR": str(short / "new")})
    assert folder == short / "new" / "ray"
    assert folder.is_dir()


@pytest.mark.parametrize(
    ("name", "told"),
    [(LONG, f"too long for sockets: .* at most {LONGEST_FOLDER}"), ("file", "cannot be written: Not a dir")],
)
def test_what_ray_tmpdir_names_is_not_replaced(short, name, told):
    (short / "file").write_text("")
    with pytest.raises(PrerequisiteMissing, match=f"RAY_TMPDIR: .*{told}.*let RAY_TMPDIR name a folder"):
        folder_for_ray({"RAY_TMPDIR": str(short / name), "TMPDIR": str(short)}, system_folder=short)


def test_where_nothing_will_do_both_reasons_are_told(short):
    (short / "file").write_text("")
    with pytest.raises(
        PrerequisiteMissing, match=r"TMPDIR: .* too long .*; .*file/ray-\d+ cannot be written"
    ):
        folder_for_ray({"TMPDIR": str(short / LONG)}, system_folder=short / "file")


@pytest.mark.slow
@pytest.mark.parametrize(
    "error", ["OSError(28, 'No space left')", "Exception('timed out')", "ValueError('')"]
)
def test_whatever_ray_says_when_it_cannot_start_is_a_missing_prerequisite(error):
    code = f"""
import ray
from layerscope.orchestrator.errors import PrerequisiteMissing
from layerscope.orchestrator.execution.ray_cluster import connected
from layerscope.orchestrator.experiment.cluster import Cluster
def init(**options):
    raise {error}
ray.init = init
try:
    with connected(Cluster()):
        pass
except PrerequisiteMissing as told:
    print(told)
"""
    told = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"RAY_TMPDIR": ""},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert told.startswith("Ray cannot start on this machine: ")
    assert "RAY_TMPDIR names another" in told
