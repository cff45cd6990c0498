"""Whether a task can be scored by its metric, and the metric that selects weights."""

from collections.abc import Iterable, Sequence

from layerscope.jobs.specs.stages import target_of
from layerscope.jobs.specs.targets import METRICS, TARGET_FACTS, MetricName
from layerscope.orchestrator.experiment.tasks import Task
from layerscope.orchestrator.planning.plan import Stage


def check_metric(task: Task, labels: Sequence[str]) -> None:
    """Checks that need the data; others are made on the experiment file.

    Raises:
        ValueError: the metric is of one of two labels, and there are not two.
    """
    if METRICS[task.metric].of_two_labels and len(labels) != 2:
        raise ValueError(f"metric: {task.metric} needs two labels, and there are {len(labels)}: use macro_f1")


def metric_of(stage: Stage, scores: Iterable[str], split: str) -> str | None:
    """The metric of a training that selects its best weights, named as its score, as `validation/accuracy`.
    None without such a score on the split."""
    own = getattr(stage.spec, "selected_by", None)
    names = set(scores)
    usual = [own] if own else [facts.selected_by for facts in TARGET_FACTS.values()]
    return next((name for name in usual if f"{split}/{name}" in names), None)


def selecting_metric(task: Task) -> MetricName | None:
    """The metric that selects the best weights; None if it is the target's default."""
    usual = TARGET_FACTS[target_of(task.columns, task.predict)].selected_by
    return None if task.metric == usual else task.metric
