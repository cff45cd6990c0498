"""Heads of trainings, `head.safetensors` and `head.json`, and the heads of a multi-task training.

`head.safetensors` has the linear classifier as `weight` and `bias`, and the other parts by name, such as
`pooler.weight` and `attention.hidden.weight`; `head.json` describes how they read the encoder.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from layerscope.jobs.artifacts.layer_heads import HEAD

READING = "head.json"
JOINT_HEADS, ABOUT_JOINT_HEADS = "heads.safetensors", "heads.json"


def write_head(
    folder: Path, parts: Mapping[str, torch.Tensor], reading: Mapping[str, Any] | None = None
) -> None:
    """Write the parts of a head by name and, if it reads an encoder, how it does."""
    save_file({name: part.cpu().contiguous() for name, part in parts.items()}, folder / HEAD)
    if reading is not None:
        (folder / READING).write_text(json.dumps(reading, indent=1) + "\n", encoding="utf-8")


def read_head(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The parts by name, and how they read the encoder."""
    return load_file(folder / HEAD), json.loads((folder / READING).read_text(encoding="utf-8"))


def write_joint_heads(
    folder: Path,
    parts: Mapping[str, torch.Tensor],
    *,
    pooling: str,
    labels_by_task: Mapping[str, Sequence[str]],
) -> None:
    """Write the heads of a multi-task training.

    Args:
        parts: Tensors by `<task>.<part>`.
    """
    save_file({name: part.contiguous() for name, part in parts.items()}, folder / JOINT_HEADS)
    about = {"pooling": pooling, "labels": {task: list(labels) for task, labels in labels_by_task.items()}}
    text = json.dumps(about, ensure_ascii=False, indent=1)
    (folder / ABOUT_JOINT_HEADS).write_text(text, encoding="utf-8")
