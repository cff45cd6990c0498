"""Summary, predictions and parameter groups of a training that ends with its best weights.

Axes: N predictions of a split, K labels.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from layerscope.jobs.artifacts.parameter_groups import write_parameter_groups
from layerscope.jobs.artifacts.predictions import Predictions, write_predictions
from layerscope.jobs.artifacts.tokenised import Split
from layerscope.jobs.targets.task_type import TaskType
from layerscope.jobs.training.learning_rates import Group
from layerscope.jobs.training.loop import Progress


def summary(progress: Progress, counts: Mapping[str, float], *, batch_size: int) -> dict[str, float]:
    """Training time, steps and throughput, together with the given counts of texts or labelled spans."""
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
    """Write the test predictions and the parameter groups."""
    table = Predictions(test.target_ids(), task.written(test.targets()), task.predictions(logits_NK))
    write_predictions(out, table)
    write_parameter_groups(out, [group.described() for group in groups])
