"""The prediction target of tasks, and contradictions with it."""

from collections.abc import Iterator

from layerscope.jobs.specs.faults import Fault, PathTo
from layerscope.jobs.specs.stages import target_of
from layerscope.jobs.specs.targets import LOSS, METRICS, TARGET_FACTS, Target, is_own, metrics_of
from layerscope.orchestrator.experiment.experiment import Experiment
from layerscope.orchestrator.experiment.tasks import Task
from layerscope.orchestrator.experiment.variants import possible_values


def target_faults(experiment: Experiment) -> Iterator[Fault]:
    """Metrics, columns and factors that a task's target does not have."""
    for part, tasks in (("tasks", experiment.tasks), ("probing", experiment.probing)):
        for index, task in enumerate(tasks):
            yield from task_faults((part, index), task)
    for index, task in enumerate(experiment.probing):
        if not (facts := TARGET_FACTS[asked_of(task)]).has_labels:
            message = f"probing tasks have labels, and this one has {facts.noun}: leave it out"
            yield Fault(("probing", index), message)
    for index, task in enumerate(experiment.tasks):
        yield from _of_recipes(experiment, ("tasks", index), task)
    yield from _joint(experiment)
    yield from _objective(experiment)


def asked_of(task: Task) -> Target:
    """The prediction target of the rows of a task, or of its labelled spans."""
    return target_of(task.columns, task.predict)


def task_faults(path: PathTo, task: Task) -> Iterator[Fault]:
    """Contradictions in the task at a path."""
    target, columns = asked_of(task), task.columns
    facts = TARGET_FACTS[target]
    if not is_own(task.metric) and task.metric not in metrics_of(target):
        known = ", ".join(metrics_of(target))
        yield Fault((*path, "metric"), f"{facts.noun} are scored by {known}, not by {task.metric}")
    if is_own(task.metric) and task.metric_name in (*METRICS, LOSS.name):
        message = f"{task.metric_name} is the name of a metric of layerscope: rename the file or attribute"
        yield Fault((*path, "metric"), message)
    if task.predict != "label" and columns.choices is not None:
        message = "rows with choices always predict the correct one: leave it out"
        yield Fault((*path, "predict"), message)
    if task.data.source not in ("files", "hub"):
        for name in ("choices", "spans"):
            if getattr(columns, name) is not None:
                yield Fault((*path, "columns", name), f"these data have no {name}: leave it out")
        if task.predict != "label":
            yield Fault((*path, "predict"), "these data have labels, no numbers: must be label")
    if task.positive is not None and (not facts.has_labels or task.has_units):
        message = "is one of the two labels of texts, and there are none here: leave it out"
        yield Fault((*path, "positive"), message)
    if columns.spans is not None and not facts.has_labels:
        message = f"spans have labels, and this task has {facts.noun}: leave it out"
        yield Fault((*path, "columns", "spans"), message)
    if task.sample.validation is not None and getattr(task.data, "validation", None) is None:
        message = "these data have no validation split, it is sampled from train: leave it out"
        yield Fault((*path, "sample", "validation"), message)
    for name in ("answers", "placeholder"):
        if getattr(columns, name) is not None and columns.choices is None:
            message = "is for rows with choices, and columns names none: leave it out"
            yield Fault((*path, "columns", name), message)
    if columns.placeholder is not None and columns.text_pair is None:
        message = "is a placeholder in the second text, and columns has no text_pair"
        yield Fault((*path, "columns", "placeholder"), message)
    for number, span in enumerate(columns.spans or ()):
        given = {name for name in ("start", "end", "first_word", "words") if getattr(span, name) is not None}
        if given not in ({"start", "end"}, {"first_word", "words"}):
            message = "give start and end, or first_word and words"
            yield Fault((*path, "columns", "spans", number), message)
        if span.of == "text_pair" and columns.text_pair is None:
            message = "columns names no text_pair: must be text"
            yield Fault((*path, "columns", "spans", number, "of"), message)


def _of_recipes(experiment: Experiment, path: PathTo, task: Task) -> Iterator[Fault]:
    if task.columns.choices is not None and "windows" in possible_values(experiment, "truncation"):
        message = "a text with a choice is read as one sequence: truncation must not be windows"
        yield Fault((*path, "columns", "choices"), message)
    has_features = any(value is not None for value in possible_values(experiment, "features"))
    if has_features and (what := _no_labelled_texts(task)):
        message = (
            f"frozen features are of single texts with labels, and here are {what}: features must be null"
        )
        yield Fault(path, message)


def _joint(experiment: Experiment) -> Iterator[Fault]:
    what_by_task = {task.task: _no_labelled_texts(task) for task in experiment.tasks}
    for name, joint in experiment.multi_task.items():
        for task in joint.tasks or tuple(what_by_task):
            if what := what_by_task.get(task):
                message = f"{task} has {what}, and joint training is of texts with labels: name such tasks"
                yield Fault(("multi_task", name, "tasks"), message, rests_on=(("tasks",),))


def _objective(experiment: Experiment) -> Iterator[Fault]:
    if experiment.search is None or experiment.search.objective in (None, f"validation/{LOSS.name}"):
        return
    metric = experiment.search.objective.removeprefix("validation/")
    for task in experiment.tasks:
        known = metrics_of(asked_of(task))
        if metric not in known:
            allowed = ", ".join(f"validation/{name}" for name in (*known, LOSS.name))
            message = f"task {task.task} has no {metric}: must be one of {allowed}"
            yield Fault(("search", "objective"), message, rests_on=(("tasks",),))


def _no_labelled_texts(task: Task) -> str | None:
    """What a task has instead of texts with one label each."""
    if task.has_units:
        return "labelled spans"
    facts = TARGET_FACTS[asked_of(task)]
    return None if facts.has_labels else facts.noun
