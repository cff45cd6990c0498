"""Plug-in metrics of tasks: located, named and declared before anything starts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from layerscope.jobs.specs.faults import Fault
from layerscope.jobs.specs.stages import target_of
from layerscope.jobs.specs.targets import TARGET_FACTS, Metric, OwnMetric, is_own
from layerscope.jobs.user_code import digest_of
from layerscope.orchestrator.experiment.tasks import Task
from layerscope.orchestrator.planning.sources.fresh_process import call_apart
from layerscope.orchestrator.planning.sources.plugin_files import installed_module, python_file


@dataclass(frozen=True)
class LocatedMetric:
    """A plug-in metric and the file that defines it."""

    spec: OwnMetric
    path: str
    declared: Metric


def own_metrics_of(tasks: Sequence[Task], faults: list[Fault]) -> Mapping[str, LocatedMetric]:
    """The plug-in metrics by task; faults are added to the list, each at its place in the experiment."""
    found: dict[str, LocatedMetric] = {}
    for number, task in enumerate(tasks):
        if not is_own(task.metric):
            continue
        try:
            found[task.task] = _own_metric(task)
        except ValueError as error:
            faults.append(Fault(("tasks", number, "metric"), str(error)))
    faults += _same_names(found)
    return found


def _own_metric(task: Task) -> LocatedMetric:
    is_file = task.metric.endswith(".py")
    source = python_file(task.metric) if is_file else installed_module(*task.metric.split(":"))
    name, path = task.metric_name, str(source.path)
    spec = OwnMetric(name=name, source=digest_of(source.path), entry_point=source.entry_point)
    declared = call_apart(
        "layerscope.jobs.targets.own_metrics:declared", name=name, path=path, entry_point=source.entry_point
    )
    target = target_of(task.columns, task.predict)
    if target not in declared["targets"]:
        raise ValueError(
            f"{name} is declared for {', '.join(declared['targets'])}, and task {task.task} has "
            f"{TARGET_FACTS[target].noun}"
        )
    # Predicted numbers are neither right nor wrong, so there is no paired test of correct answers.
    are_numbers = any(metric.compares == "correlations" for metric in TARGET_FACTS[target].metrics)
    metric = Metric(
        name,
        scale=tuple(declared["scale"]),
        compares="nothing" if are_numbers else "right answers",
        on_layers=TARGET_FACTS[target].selected_by,
    )
    return LocatedMetric(spec, path, metric)


def _same_names(found: Mapping[str, LocatedMetric]) -> Iterator[Fault]:
    first: dict[str, tuple[str, LocatedMetric]] = {}
    for task, source in found.items():
        other, known = first.setdefault(source.spec.name, (task, source))
        if known.spec != source.spec:
            message = f"task {task}: its metric has the name of another one, of task {other}: rename its file"
            yield Fault((), message)
