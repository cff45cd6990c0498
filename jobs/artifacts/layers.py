"""Hidden states on disk: one safetensors file per layer, and the examples of the rows.

Axes: N examples, D features.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

EXAMPLES, ROWS_PER_EXAMPLE = "examples.json", "rows_per_example"


@dataclass(frozen=True)
class Part:
    """Some examples of one split with their states in every layer."""

    ids: Sequence[str]
    labels: Sequence[int]
    layers: Sequence[np.ndarray]
    """(N, D) float32 each, layer 0 is the embeddings; rows in the order of the ids."""
    rows_per_example: int = 1
    """Number of consecutive rows of one example, such as its choices; these rows are not independent."""


def write_layers(folder: Path, parts: Mapping[str, Part], *, num_labels: int) -> None:
    """Write every layer of all parts, and the examples of the rows."""
    num_layers = len(next(iter(parts.values())).layers)
    for depth in range(num_layers):
        states = {name: np.ascontiguousarray(part.layers[depth]) for name, part in parts.items()}
        save_file(states, _path(folder, depth))
    examples = {name: _example_rows(part) for name, part in parts.items()}
    content = {"num_layers": num_layers, "num_labels": num_labels, "parts": examples}
    (folder / EXAMPLES).write_text(json.dumps(content), encoding="utf-8")


def read_layers(folder: Path, name: str, *, depths: Iterable[int] | None = None) -> Part:
    """One part with all its layers, or only those at the given depths.

    Layer files are memory-mapped: code that reads a few rows at a time, such as `cka_map`, can process more
    rows than fit into memory. Writes to the arrays do not change the files.
    """
    content = _content(folder)
    layers = []
    for depth in range(content["num_layers"]) if depths is None else depths:
        # "pt" maps the file, "numpy" copies it.
        with safe_open(_path(folder, depth), framework="pt") as file:
            layers.append(file.get_tensor(name).numpy())
    examples = content["parts"][name]
    return Part(examples["ids"], examples["labels"], layers, examples.get(ROWS_PER_EXAMPLE, 1))


def read_num_layers(folder: Path) -> int:
    """Number of layers, including the embeddings."""
    return int(_content(folder)["num_layers"])


def read_num_labels(folder: Path) -> int:
    """Number of labels of the task."""
    return int(_content(folder)["num_labels"])


def _example_rows(part: Part) -> dict[str, object]:
    rows = {"ids": list(part.ids), "labels": list(part.labels)}
    return rows if part.rows_per_example == 1 else rows | {ROWS_PER_EXAMPLE: part.rows_per_example}


def _content(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / EXAMPLES).read_text(encoding="utf-8"))
    return content


def _path(folder: Path, depth: int) -> Path:
    return folder / f"layer_{depth:02d}.safetensors"
