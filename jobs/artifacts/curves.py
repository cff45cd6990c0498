"""Curves of an artifact: one JSON object per line, appended to the scratch folder while a stage runs."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

CURVES = "curves.jsonl"


@dataclass(frozen=True)
class Point:
    """One value of a curve; layer-wise measures have step = layer."""

    metric: str
    step: int
    time: float
    """Unix seconds."""
    value: float


def append_points(folder: Path, step: int, values: Mapping[str, float]) -> None:
    """Append the values of one step."""
    entry = {"step": step, "time": time.time(), "values": {k: float(v) for k, v in values.items()}}
    with (folder / CURVES).open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def read_curves(folder: Path) -> Iterator[Point]:
    """The points in the order logged; a last line still being written is left out."""
    try:
        text = (folder / CURVES).read_text(encoding="utf-8")
    except FileNotFoundError:  # none was logged, or the artifact is being committed at this moment
        return
    for line in text.splitlines(keepends=True):
        if line.endswith("\n"):
            entry = json.loads(line)
            for metric, value in entry["values"].items():
                yield Point(metric, entry["step"], entry["time"], value)


def cut_curves(folder: Path, *, last_step: int) -> None:
    """Drop the points after a step, which a resumed run will log again."""
    path = folder / CURVES
    if path.exists():
        lines = [
            line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")
        ]
        path.write_text("".join(line for line in lines if json.loads(line)["step"] <= last_step), "utf-8")


def forget_curves(folder: Path) -> None:
    """Remove all points, for a stage that starts from the beginning."""
    (folder / CURVES).unlink(missing_ok=True)
