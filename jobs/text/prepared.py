"""Reads what the prepare stage leaves: token ids, labels and ids of each split."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Split:
    """Rows of one split, in the order of the data."""

    ids: Sequence[str]
    texts: Sequence[Sequence[int]]
    """Token ids of each text, special tokens included, cut as the view says."""
    labels: Sequence[int]


def read_split(folder: Path, name: Literal["train", "validation", "test"]) -> Split:
    """One split of a prepared task."""
    from datasets import load_from_disk

    rows = load_from_disk(str(folder / name))
    return Split(rows["id"][:], rows["input_ids"][:], rows["label"][:])


def read_texts(
    folder: Path, name: Literal["train", "validation", "test"]
) -> tuple[list[str], list[list[str]]]:
    """Ids of a split's rows, and the texts of each as they were; whole views alone have them."""
    from datasets import load_from_disk

    rows = load_from_disk(str(folder / name))
    return rows["id"][:], rows["texts"][:]


def read_labels(folder: Path) -> list[str]:
    """Names of the labels; a label's id is its position."""
    return json.loads((folder / "labels.json").read_text(encoding="utf-8"))
