"""What a command does whose output nobody reads to its end: it ends quietly, with the code of SIGPIPE."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.orchestrator.bench import Bench
from tests.tiny import look_at

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from layerscope.orchestrator.cli import main; main()"]


def ended_unread(folder: Path, *command: str) -> tuple[int, str]:
    """Exit code and errors of a command whose reader is gone before it begins."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run(
            [*COMMAND, *command],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writing)
    return ended.returncode, ended.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("plan", "bench.yaml"),
        ("plan", "bench.yaml", "--json"),
        ("status", "bench.yaml"),
        ("compare", "bench.yaml", "--format", "json"),
        ("schema",),
        ("run", "bench.yaml", "--serial"),
        ("run", "bench.yaml", "--serial", "--json"),
    ],
    ids=" ".join,
)
def test_a_command_whose_reader_is_gone_ends_quietly(tmp_path, tiny_encoder, command):
    shutil.copytree(tiny_encoder, tmp_path / "encoder")
    look_at(Bench(tmp_path).write(grid={"layer_decay": [1.0, 0.9]}))
    code, errors = ended_unread(tmp_path, *command)
    assert code == 141
    assert errors in ("", "nothing is finished yet: start it with `layerscope run`\n")
    assert not (tmp_path / "runs" / "prepare").exists()


@pytest.mark.parametrize("command", [("--help",), ("run", "--help"), ()], ids=" ".join)
def test_help_whose_reader_is_gone_ends_quietly(tmp_path, command):
    assert ended_unread(tmp_path, *command) == (141, "")


def test_another_end_of_the_program_stays_as_it_is():
    from layerscope.orchestrator.reading_end import unread_help_told

    with pytest.raises(SystemExit) as ended, unread_help_told():
        raise SystemExit(1)
    assert ended.value.code == 1


def test_a_pipe_that_breaks_elsewhere_is_told(capsys):
    from layerscope.orchestrator.reading_end import reader_gone_told

    with capsys.disabled(), pytest.raises(BrokenPipeError), reader_gone_told():
        raise BrokenPipeError
