"""By which metric a training is judged."""

from collections.abc import Iterable

from layerscope.jobs.specs.stages import target_of
from layerscope.jobs.specs.targets import TARGET_FACTS, MetricName, selecting_name
from layerscope.orchestrator.experiment.tasks import Task
from layerscope.orchestrator.planning.plan import Stage


def metric_of(stage: Stage, scores: Iterable[str], split: str) -> str | None:
    """The metric of a training that selects its best weights, named as its score, as `validation/accuracy`.
    None without such a score on the split."""
    own = getattr(stage.spec, "selected_by", None)
    names = set(scores)
    usual = [selecting_name(own, "label")] if own else [facts.selected_by for facts in TARGET_FACTS.values()]
    return next((name for name in usual if f"{split}/{name}" in names), None)


def selecting_metric(task: Task) -> MetricName | None:
    """By which built-in metric the best weights are chosen; none where it is that of the target anyway."""
    usual = TARGET_FACTS[target_of(task.columns, task.predict)].selected_by
    return None if task.metric == usual else task.metric
