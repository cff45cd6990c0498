"""Sample texts of a prepared task with their tokens, to verify the tokenizer of an export."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

SAMPLE = "sample.json"
Texts = tuple[str, ...]
"""The texts of one sequence."""


class Tokenised(NamedTuple):
    """A whole sequence and its tokens, including special tokens."""

    texts: Texts
    input_ids: Sequence[int]
    type_ids: Sequence[int] | None
    """Token types; None for a single text."""


def write_sample(folder: Path, sample: Sequence[Tokenised]) -> None:
    """Write the sample to a prepared task."""
    (folder / SAMPLE).write_text(json.dumps(sample, ensure_ascii=False) + "\n", encoding="utf-8")


def read_sample(folder: Path) -> list[Tokenised]:
    """The sample of a prepared task.

    Raises:
        ValueError: the task was prepared by a version without samples.
    """
    if not (folder / SAMPLE).is_file():
        raise ValueError(f"{folder} has no {SAMPLE}: an older version prepared it; run its experiment again")
    content = json.loads((folder / SAMPLE).read_text(encoding="utf-8"))
    return [Tokenised(tuple(texts), input_ids, type_ids) for texts, input_ids, type_ids in content]
