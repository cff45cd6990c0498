"""A tokenised task as the prepare stage writes it: token ids, labels and ids of each split."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from layerscope.jobs.specs.targets import TARGET_FACTS, Target

if TYPE_CHECKING:
    from datasets import DatasetDict

LABELS = "labels.json"
SPLIT = "split.json"
"""The validation rows, and whether they were sampled from the training data."""
TARGET = "target.json"
"""The prediction target; the file exists only if the target is not a label."""
RIGHT, TOKEN_F1 = "right", "token_f1"
"""Columns of rows with answers, as in `Answers`."""


Span = tuple[int, int]
"""First word or token and the one after the last, counted from 0."""


class Answers(NamedTuple):
    """Which choices of a row are right, and the token F1 of each choice."""

    right: tuple[int, ...]
    """Positions of the choices that match an answer exactly, from 0."""
    token_f1: tuple[float, ...]
    """For every choice, the highest F1 of its words with those of an answer; 0 to 1."""


@dataclass(frozen=True)
class Split:
    """Rows of one split, in the order of the data."""

    ids: Sequence[str]
    texts: Sequence[Sequence[int]]
    """Token ids of each text, including special tokens, truncated by the view; windows are concatenated."""
    labels: Sequence[Any]
    """For each row the position of a label or choice, or a number; for a row with labelled spans, one label
    each; if several choices are right, the position of the first."""
    type_ids: Sequence[Sequence[int]] | None = None
    """Token types of pairs: which of the two texts each token belongs to, as the encoder expects it."""
    window_lengths: Sequence[Sequence[int]] | None = None
    """Number of tokens of each window of each text; None if a text is one sequence."""
    spans: Sequence[Sequence[tuple[Span, ...]]] | None = None
    """The tokens of each labelled span of each row; None if texts are labelled as a whole."""
    answers: Sequence[Answers] | None = None
    """Which choices of each row are right; None unless several choices may be right."""

    def rows(self, rows: Sequence[int]) -> "Split":
        """Some of the rows, in the requested order."""
        columns = {name: column for name, column in vars(self).items() if column is not None}
        return Split(**{name: [column[row] for row in rows] for name, column in columns.items()})

    def targets(self) -> list[Any]:
        """Prediction targets in row order: the label or answers of each row, or the label of each span."""
        if self.answers is not None:
            return list(self.answers)
        return list(self.labels) if self.spans is None else [label for of in self.labels for label in of]

    def target_ids(self) -> list[str]:
        """Id of each target: of its row, or of its labelled span in the row."""
        if self.spans is None:
            return list(self.ids)
        numbers = self.num_targets_by_row(range(len(self.ids)))
        return [
            f"{id}:{place}" for id, number in zip(self.ids, numbers, strict=True) for place in range(number)
        ]

    def num_targets_by_row(self, rows: Sequence[int]) -> list[int]:
        """Number of targets of each of these rows."""
        return [1 if self.spans is None else len(self.spans[row]) for row in rows]

    def num_targets(self, rows: Sequence[int]) -> int:
        """Number of targets of these rows together."""
        return sum(self.num_targets_by_row(rows))


def write_tokenised(
    folder: Path,
    splits: "DatasetDict",
    *,
    labels: Sequence[str],
    target: Target,
    is_drawn: bool,
    validation_ids: Sequence[str],
) -> None:
    """Write a prepared task.

    Args:
        splits: Splits by name, with the columns `id`, `input_ids` and `label`, and optional columns.
        is_drawn: Whether the validation rows were sampled from the training data.
    """
    splits.save_to_disk(folder)
    _write(folder / LABELS, labels)
    if not TARGET_FACTS[target].has_labels:
        _write(folder / TARGET, target)
    _write(folder / SPLIT, {"drawn_from_train": is_drawn, "validation": list(validation_ids)})


def read_split(folder: Path, name: Literal["train", "validation", "test"]) -> Split:
    """One split of a prepared task."""
    from datasets import load_from_disk

    rows = load_from_disk(str(folder / name))
    optional = {
        column: rows[column][:] for column in ("type_ids", "window_lengths") if column in rows.column_names
    }
    if RIGHT in rows.column_names:
        optional["answers"] = [
            Answers(tuple(right), tuple(token_f1))
            for right, token_f1 in zip(rows[RIGHT][:], rows[TOKEN_F1][:], strict=True)
        ]
    return Split(rows["id"][:], rows["input_ids"][:], rows["label"][:], **optional)


def read_texts(
    folder: Path, name: Literal["train", "validation", "test"]
) -> tuple[list[str], list[list[str]]]:
    """Ids of a split's rows, and their original texts; only whole views store them."""
    from datasets import load_from_disk

    rows = load_from_disk(str(folder / name))
    return rows["id"][:], rows["texts"][:]


def read_labels(folder: Path) -> list[str]:
    """Names of the labels or choices; a label's id is its position. Empty for numbers."""
    labels: list[str] = json.loads((folder / LABELS).read_text(encoding="utf-8"))
    return labels


def read_prepared_target(folder: Path) -> Target:
    """The prediction target of each row."""
    path = folder / TARGET
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else "label"


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
