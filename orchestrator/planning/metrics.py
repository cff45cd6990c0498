"""Whether a task can be scored by its metric."""

from collections.abc import Sequence

from orchestrator.experiment.experiment import Task


def check_metric(task: Task, labels: Sequence[str]) -> None:
    """What only the data can tell; the rest is a matter of the experiment file.

    Raises:
        ValueError: F1 is of one label, and there are not two.
    """
    if task.metric == "f1" and len(labels) != 2:
        raise ValueError(
            f"metric: f1 is that of one of two labels, and there are {len(labels)}: macro_f1 would be right"
        )
