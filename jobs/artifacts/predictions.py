"""Predictions for the test examples of a task."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

PREDICTIONS = "test_predictions.json"


@dataclass(frozen=True)
class Predictions:
    """Three columns of one length, a row for each test example."""

    ids: Sequence[str]
    labels: Sequence[Any]
    """True label or choice, true number, or the positions of all choices that are right."""
    predictions: Sequence[int] | Sequence[float]
    """Predicted label or choice, or predicted number."""


def write_predictions(folder: Path, predictions: Predictions) -> None:
    """Write all columns into one file."""
    content = {name: list(column) for name, column in asdict(predictions).items()}
    (folder / PREDICTIONS).write_text(json.dumps(content), encoding="utf-8")


def read_predictions(folder: Path) -> Predictions | None:
    """The written predictions; None if there are none."""
    path = folder / PREDICTIONS
    return Predictions(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None
