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
    """Token ids of each text, special tokens included, cut as the view says; windows one after the other."""
    labels: Sequence[int]
    type_ids: Sequence[Sequence[int]] | None = None
    """Token types of pairs: which of the two texts each token is of, as the encoder wants to know it."""
    window_lengths: Sequence[Sequence[int]] | None = None
    """Tokens of each window of each text; none where a text is one sequence."""

    def rows(self, rows: Sequence[int]) -> "Split":
        """Some of the rows, in the order asked for."""

        def chosen(column):
            return None if column is None else [column[row] for row in rows]

        return Split(**{name: chosen(column) for name, column in vars(self).items()})


def read_split(folder: Path, name: Literal["train", "validation", "test"]) -> Split:
    """One split of a prepared task."""
    from datasets import load_from_disk

    rows = load_from_disk(str(folder / name))
    optional = {
        column: rows[column][:] for column in ("type_ids", "window_lengths") if column in rows.column_names
    }
    return Split(rows["id"][:], rows["input_ids"][:], rows["label"][:], **optional)


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
