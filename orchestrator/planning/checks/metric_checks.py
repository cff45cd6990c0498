"""Whether a task can be scored by its metric, and what follows from it for its trainings."""

from collections.abc import Iterable, Sequence

from layerscope.jobs.specs.stages import target_of
from layerscope.jobs.specs.targets import METRICS, TARGET_FACTS, MetricName, is_own, selecting_name
from layerscope.orchestrator.experiment.tasks import Task
from layerscope.orchestrator.planning.plan import Stage


def check_metric(task: Task, labels: Sequence[str]) -> None:
    """What only the data can tell; the rest is a matter of the experiment file.

    Raises:
        ValueError: the metric is of one of two labels, and there are not two.
    """
    if not is_own(task.metric) and METRICS[task.metric].of_two_labels and len(labels) != 2:
        raise ValueError(
            f"metric: {task.metric} is that of one of two labels, and there are {len(labels)}: "
            "macro_f1 would be right"
        )


def metric_of(stage: Stage, scores: Iterable[str], split: str) -> str | None:
    """By which metric a training is judged, among the names of its scores, as `validation/accuracy`: that
    which chooses its best weights. None where it has no such scores of the split."""
    own = getattr(stage.spec, "selected_by", None)
    names = set(scores)
    usual = [selecting_name(own, "label")] if own else [facts.selected_by for facts in TARGET_FACTS.values()]
    return next((name for name in usual if f"{split}/{name}" in names), None)


def selecting_metric(task: Task) -> MetricName | None:
    """By which built-in metric the best weights are chosen; none where it is that of the target anyway."""
    usual = TARGET_FACTS[target_of(task.columns, task.predict)].selected_by
    return None if task.metric == usual else task.metric
