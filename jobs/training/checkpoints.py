"""Training checkpoints in the scratch folder: complete or absent, replaced by the next one."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file
from torch.optim.lr_scheduler import LambdaLR

LATEST = "checkpoint"
PREVIOUS = "checkpoint-previous"
PROGRESS = "training.json"
"""Written last. A change of format needs another name, so that older checkpoints are ignored."""
TENSORS = "tensors.safetensors"


def save_checkpoint(
    accelerator: Accelerator, scratch: Path, *, progress: dict[str, Any], tensors: dict[str, torch.Tensor]
) -> None:
    """Write weights, optimiser, random states, progress and tensors; every process of a gang must call it."""
    aside = scratch / "checkpoint-aside"
    if accelerator.is_main_process:
        shutil.rmtree(aside, ignore_errors=True)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(aside))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        save_file(tensors, aside / TENSORS)
        (aside / PROGRESS).write_text(json.dumps(progress), encoding="utf-8")
        previous = scratch / PREVIOUS
        shutil.rmtree(previous, ignore_errors=True)
        if (scratch / LATEST).exists():
            (scratch / LATEST).rename(previous)
        aside.rename(scratch / LATEST)
        shutil.rmtree(previous, ignore_errors=True)
    accelerator.wait_for_everyone()


def load_checkpoint(
    accelerator: Accelerator, scratch: Path
) -> tuple[dict[str, Any], dict[str, torch.Tensor]] | None:
    """Load the newest checkpoint; returns its progress and tensors, None if there is none."""
    for folder in (scratch / LATEST, scratch / PREVIOUS):
        if (folder / PROGRESS).exists():
            accelerator.load_state(str(folder))
            progress = json.loads((folder / PROGRESS).read_text(encoding="utf-8"))
            return progress, load_file(folder / TENSORS)
    return None


def schedule_state(schedule: LambdaLR) -> dict[str, Any]:
    """The JSON state of a schedule for a checkpoint: everything but its functions."""
    return {key: value for key, value in schedule.state_dict().items() if key != "lr_lambdas"}


def restore_schedule(schedule: LambdaLR, state: dict[str, Any]) -> None:
    """Restore the schedule of a checkpoint."""
    schedule.load_state_dict(state | {"lr_lambdas": [None] * len(schedule.lr_lambdas)})
