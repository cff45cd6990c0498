"""What a training that ends with its best weights leaves beside them, and says of itself.

Axes: N what is predicted of a split, K labels.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from layerscope.jobs.targets.task_type import TaskType
from layerscope.jobs.text.prepared import Split
from layerscope.jobs.training.learning_rates import Group
from layerscope.jobs.training.loop import Progress


def summary(progress: Progress, counts: Mapping[str, float], *, batch_size: int) -> dict[str, float]:
    """Time and steps; and of how many texts, or units of them, by name."""
    pace = progress.step * batch_size / max(progress.seconds, 1e-9)
    return {
        "train/seconds": progress.seconds,
        "train/steps": progress.step,
        **counts,
        "train/examples_per_second": pace,
    }


def write_results(
    out: Path, task: TaskType, test: Split, logits_NK: np.ndarray, groups: Sequence[Group]
) -> None:
    """Write the predictions on the test split, and the parameter groups."""
    predictions = {
        "ids": test.target_ids(),
        "labels": task.written(test.targets()),
        "predictions": task.predictions(logits_NK),
    }
    (out / "test_predictions.json").write_text(json.dumps(predictions), encoding="utf-8")
    about = [group.as_json() for group in groups]
    (out / "parameter_groups.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
