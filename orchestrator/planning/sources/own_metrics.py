"""Metrics of the user's own, which tasks name: found and declared before anything starts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from layerscope.jobs.specs.faults import Fault
from layerscope.jobs.specs.stages import target_of
from layerscope.jobs.specs.targets import TARGET_FACTS, Metric, OwnMetric, is_own
from layerscope.jobs.user_code import Source, digest_of
from layerscope.orchestrator.experiment.tasks import Task
from layerscope.orchestrator.planning.sources.fresh_process import call_apart
from layerscope.orchestrator.planning.sources.measure_plugins import python_file


@dataclass(frozen=True)
class OwnMetricSource:
    """A metric, and the file that defines it."""

    spec: OwnMetric
    path: str
    declared: Metric


def own_metrics_of(tasks: Sequence[Task], faults: list[Fault]) -> Mapping[str, OwnMetricSource]:
    """The user's own metrics by task; faults are added to the list, each at its place in the experiment."""
    found: dict[str, OwnMetricSource] = {}
    for number, task in enumerate(tasks):
        if not is_own(task.metric):
            continue
        try:
            found[task.task] = _own_metric(task)
        except ValueError as error:
            faults.append(Fault(("tasks", number, "metric"), str(error)))
    faults += _same_names(found)
    return found


def _own_metric(task: Task) -> OwnMetricSource:
    source = python_file(task.metric) if task.metric.endswith(".py") else _in_package(task.metric)
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
    # A number is neither right nor wrong, so nothing can be counted of the same examples.
    are_numbers = any(metric.compares == "correlations" for metric in TARGET_FACTS[target].metrics)
    metric = Metric(
        name,
        scale=tuple(declared["scale"]),
        compares="nothing" if are_numbers else "right answers",
        on_layers=TARGET_FACTS[target].selected_by,
    )
    return OwnMetricSource(spec, path, metric)


def _in_package(written: str) -> Source:
    module = written.partition(":")[0]
    try:
        found = find_spec(module)
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise ValueError(f"there is no installed module {module}")
    if found.origin is None or not Path(found.origin).is_file():
        raise ValueError(f"the module {module} is no Python file")
    return Source(Path(found.origin), written)


def _same_names(found: Mapping[str, OwnMetricSource]) -> Iterator[Fault]:
    first: dict[str, tuple[str, OwnMetricSource]] = {}
    for task, source in found.items():
        other, known = first.setdefault(source.spec.name, (task, source))
        if known.spec != source.spec:
            message = f"task {task}: its metric has the name of another one, of task {other}: rename its file"
            yield Fault((), message)
