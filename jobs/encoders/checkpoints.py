"""Checkpoints of a training run in its scratch folder: complete or absent, replaced by the next one."""

import json
import shutil
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from jobs.context import CURVES

LATEST = "checkpoint"
PROGRESS = "progress.json"


def save_checkpoint(accelerator: Accelerator, scratch: Path, progress: dict[str, Any]) -> None:
    """Write weights, optimiser, schedule, random states and progress; every process of a gang calls it."""
    aside = scratch / "checkpoint-aside"
    if accelerator.is_main_process:
        shutil.rmtree(aside, ignore_errors=True)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(aside))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        (aside / PROGRESS).write_text(json.dumps(progress), encoding="utf-8")
        previous = scratch / "checkpoint-previous"
        shutil.rmtree(previous, ignore_errors=True)
        if (scratch / LATEST).exists():
            (scratch / LATEST).rename(previous)
        aside.rename(scratch / LATEST)
        shutil.rmtree(previous, ignore_errors=True)
    accelerator.wait_for_everyone()


def load_checkpoint(accelerator: Accelerator, scratch: Path) -> dict[str, Any] | None:
    """Load the newest checkpoint and return its progress; nothing if there is none."""
    for name in (LATEST, "checkpoint-previous"):
        if (scratch / name / PROGRESS).exists():
            accelerator.load_state(str(scratch / name))
            return json.loads((scratch / name / PROGRESS).read_text(encoding="utf-8"))
    return None


def cut_curves(scratch: Path, *, last_step: int) -> None:
    """Drop the points after a step, which a resumed run will log again."""
    path = scratch / CURVES
    if path.exists():
        lines = [
            line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")
        ]
        path.write_text("".join(line for line in lines if json.loads(line)["step"] <= last_step), "utf-8")
