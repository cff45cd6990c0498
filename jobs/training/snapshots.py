"""Encoders saved along a fine-tuning: in the scratch folder during training, in the artifact at the end."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import PreTrainedModel

from layerscope.jobs.encoders.loading import save_encoder, snapshot_folder
from layerscope.jobs.specs.stages import Checkpoint

SNAPSHOTS = "snapshots"


def steps_of(checkpoints: Sequence[Checkpoint], num_steps: int) -> dict[Checkpoint, int]:
    """The step after which each checkpoint is saved; a share of the steps is rounded, to at least one step.

    Raises:
        ValueError: a step is greater than `num_steps`.
    """
    steps = {
        checkpoint: checkpoint if isinstance(checkpoint, int) else max(1, round(checkpoint * num_steps))
        for checkpoint in checkpoints
    }
    late = [step for step in steps.values() if step > num_steps]
    if late:
        raise ValueError(
            f"checkpoint {late[0]} is never reached: the training has {num_steps} steps; a share, as 0.5, is "
            "reached by every training"
        )
    return steps


def keep_snapshot(
    encoder: PreTrainedModel,
    scratch: Path,
    checkpoint: Checkpoint,
    *,
    weights: dict[str, torch.Tensor] | None,
    tokenizer_from: Path,
) -> None:
    """Write the encoder with its current weights, or with `weights`, to the scratch folder."""
    folder = snapshot_folder(scratch / SNAPSHOTS, checkpoint)
    save_encoder(encoder, folder, tokenizer_from=tokenizer_from, weights=weights)


def forget_snapshots(scratch: Path) -> None:
    """Delete the snapshots, for a training that starts from the beginning."""
    shutil.rmtree(scratch / SNAPSHOTS, ignore_errors=True)


def hand_over_snapshots(
    encoder: PreTrainedModel,
    scratch: Path,
    out: Path,
    checkpoints: Sequence[Checkpoint],
    *,
    has_diverged: bool,
    tokenizer_from: Path,
) -> None:
    """Copy the saved encoders to the artifact.

    If the training diverged, checkpoints that it did not reach are the final encoder.
    """
    for checkpoint in checkpoints:
        kept = snapshot_folder(scratch / SNAPSHOTS, checkpoint)
        target = snapshot_folder(out, checkpoint)
        if kept.exists():
            shutil.copytree(kept, target)
        else:
            assert has_diverged, f"a training that came to its end passed checkpoint {checkpoint}"
            save_encoder(encoder, target, tokenizer_from=tokenizer_from)
