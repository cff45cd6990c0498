"""What running in one process adds to `tests/contracts`, where its results are checked."""

import subprocess
import sys

QUIET_RUN = """
import huggingface_hub.constants  # as planning does
from pathlib import Path
from layerscope.orchestrator.execution.serial import run_serially
from layerscope.orchestrator.execution.scheduler import Schedule
from layerscope.orchestrator.store.artifacts import Store
run_serially(Schedule(Store(Path({store!r}))))
from transformers.utils import logging
print(logging.is_progress_bar_enabled(), logging.get_verbosity() == logging.ERROR)
"""


def test_no_bars_stand_between_the_lines_of_a_run(tmp_path):
    code = QUIET_RUN.format(store=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False True\n"
