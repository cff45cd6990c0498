"""Some texts of a prepared task with their tokens, which an export holds its tokenizer to."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

SAMPLE = "sample.json"
Texts = tuple[str, ...]
"""Of a sequence."""


class Tokenised(NamedTuple):
    """A whole sequence and its tokens, special ones included."""

    texts: Texts
    input_ids: Sequence[int]
    type_ids: Sequence[int] | None
    """Token types; none of a single text."""


def write_sample(folder: Path, sample: Sequence[Tokenised]) -> None:
    """Leave the sample in a prepared task."""
    (folder / SAMPLE).write_text(json.dumps(sample, ensure_ascii=False) + "\n", encoding="utf-8")


def read_sample(folder: Path) -> list[Tokenised]:
    """The sample of a prepared task.

    Raises:
        ValueError: it was prepared before there were samples.
    """
    if not (folder / SAMPLE).is_file():
        raise ValueError(f"{folder} has no {SAMPLE}: an older version prepared it; run its experiment again")
    content = json.loads((folder / SAMPLE).read_text(encoding="utf-8"))
    return [Tokenised(tuple(texts), input_ids, type_ids) for texts, input_ids, type_ids in content]
