"""Rules between the parts of an experiment, each of which is valid by itself."""

from collections.abc import Iterator, Sequence
from typing import Any

from layerscope.jobs.specs.faults import Fault, PathTo, dotted
from layerscope.jobs.specs.roles import AT, RANDOM, START
from layerscope.orchestrator.experiment.experiment import MAIN, MOST_LETTERS, EncoderSource, Experiment
from layerscope.orchestrator.experiment.faults import suggestion
from layerscope.orchestrator.experiment.rules.factors import factor_faults
from layerscope.orchestrator.experiment.rules.grid_and_search import (
    grid_faults,
    search_faults,
)
from layerscope.orchestrator.experiment.rules.pretrainings import pretraining_faults
from layerscope.orchestrator.experiment.variants import grid_cells, written_values


def consistency_faults(experiment: Experiment) -> Iterator[Fault]:
    """All contradictions in an experiment."""
    yield from _name(experiment)
    yield from _encoder(experiment)
    yield from _tasks(experiment)
    yield from _measures(experiment)
    yield from _repeated_values(experiment)
    yield from grid_faults(experiment)
    yield from search_faults(experiment)
    yield from pretraining_faults(experiment)
    yield from _multi_task(experiment)
    yield from factor_faults(experiment)
    yield from _between(experiment)


def _name(experiment: Experiment) -> Iterator[Fault]:
    if (length := len(experiment.experiment)) > MOST_LETTERS:
        message = f"a name must have at most {MOST_LETTERS} letters, and this one has {length}"
        yield Fault(("experiment",), message)


def _encoder(experiment: Experiment) -> Iterator[Fault]:
    sources: dict[PathTo, EncoderSource] = {("encoder",): experiment.encoder}
    sources |= {("encoders", name): source for name, source in experiment.encoders.items()}
    for path, source in sources.items():
        if not (source.folder or source.hub or source.package or source.mlflow or source.scratch):
            yield Fault(path, "names no source: give folder, hub, package, mlflow or scratch")
        others = [name for name in ("package", "mlflow", "scratch") if getattr(source, name) is not None]
        if source.trust_remote_code and others:
            message = (
                "code is run of a folder or of a repository on the Hub, and of nothing that is tried after "
                f"them: leave out {' and '.join(others)}, or this"
            )
            yield Fault((*path, "trust_remote_code"), message)
        if (built := source.scratch) and built.width % built.heads:
            message = f"must divide the width, which is {built.width}, not {built.heads}"
            yield Fault((*path, "scratch", "heads"), message)
    if MAIN in experiment.encoders:
        message = f"the name '{MAIN}' is reserved for the experiment's encoder: choose another"
        yield Fault(("encoders", MAIN), message, of_key=True)
    known = (MAIN, *(name for name in experiment.encoders if name != MAIN))
    for path, name in written_values(experiment, "encoder"):
        if name not in known:
            message = f"there is no encoder '{name}'{suggestion(str(name), known)}; known: {', '.join(known)}"
            yield Fault(path, message, rests_on=(("encoders", str(name)),))


def _tasks(experiment: Experiment) -> Iterator[Fault]:
    named: list[tuple[PathTo, str]] = [
        (("tasks", index), task.task) for index, task in enumerate(experiment.tasks)
    ]
    named += [(("corpora", index), corpus.task) for index, corpus in enumerate(experiment.corpora)]
    yield from _repeated_names(named)
    yield from _repeated_names(
        [(("probing", index), task.task) for index, task in enumerate(experiment.probing)]
    )
    for part, tasks in (("tasks", experiment.tasks), ("probing", experiment.probing)):
        for index, task in enumerate(tasks):
            path = (part, index, "columns", "text_pair")
            if task.columns.text_pair is not None and task.data.source == "sample":
                yield Fault(path, "the generator's documents are single texts: leave it out")
            elif task.columns.text_pair == task.columns.text:
                yield Fault(path, f"is the same column as text, '{task.columns.text}'")
    for index, task in enumerate(experiment.probing):
        if task.task == START:
            yield Fault(("probing", index, "task"), f"'{START}' is reserved for the base model")
        elif task.task == RANDOM:
            yield Fault(
                ("probing", index, "task"), f"'{RANDOM}' is reserved for the randomly initialised encoder"
            )
        elif task.task.startswith(AT):
            message = f"names that begin with '{AT}' are reserved for checkpoints"
            yield Fault(("probing", index, "task"), message)


def _measures(experiment: Experiment) -> Iterator[Fault]:
    measures = experiment.measures
    annotated = any(task.has_units for task in (*experiment.tasks, *experiment.probing))
    if measures.control and not measures.probes:
        message = "there is no probe to control: must be false if probe is false"
        yield Fault(("measures", "control"), message, rests_on=(("measures", "probe"),))
    elif measures.control and not annotated:
        message = "control tasks have a random label per word: name a task of annotated sentences"
        yield Fault(("measures", "control"), message, rests_on=(("probing",),))
    if "partial_cka" in measures.similarity:
        for index, task in enumerate(experiment.tasks):
            if task.has_units:
                message = "its inputs are texts, and this task has labelled spans: leave it out"
                where = ("measures", "similarity", measures.similarity.index("partial_cka"))
                yield Fault(where, message, rests_on=(("tasks", index),))
    if measures.random_encoder and not (measures.probes or measures.description_length):
        message = (
            "nothing is measured on the random encoder: must be false without probe and description_length"
        )
        yield Fault(("measures", "random_encoder"), message, rests_on=(("measures", "probe"),))


def _repeated_names(named: Sequence[tuple[PathTo, str]]) -> Iterator[Fault]:
    first: dict[str, PathTo] = {}
    for path, name in named:
        if name in first:
            message = f"duplicate task name '{name}'; the other is {dotted(first[name])}"
            yield Fault((*path, "task"), message)
        first.setdefault(name, path)


def _repeated_values(experiment: Experiment) -> Iterator[Fault]:
    lists: dict[PathTo, tuple[Any, ...]] = {
        ("seeds",): experiment.seeds,
        ("measures", "checkpoints"): experiment.measures.checkpoints,
    }
    for factor, values in experiment.grid:
        lists[("grid", factor)] = values or ()
    for measure in ("similarity", "cka_between"):
        lists[("measures", measure)] = getattr(experiment.measures, measure)
    if experiment.search:
        for factor, values in experiment.search.space:
            lists[("search", "space", factor, "choices")] = getattr(values, "choices", ())
    for path, values in lists.items():
        for index, value in enumerate(values):
            if value in values[:index]:
                yield Fault((*path, index), f"duplicate value {value}")


def _multi_task(experiment: Experiment) -> Iterator[Fault]:
    tasks = tuple(task.task for task in experiment.tasks)
    for name, joint in experiment.multi_task.items():
        path = ("multi_task", name)
        if name == "none" or name in experiment.pretraining:
            message = f"the name '{name}' is taken by pretraining: choose another"
            yield Fault(path, message, of_key=True, rests_on=(("pretraining", name),))
        if (joint.epochs is None) == (joint.steps is None):
            given = "neither epochs nor steps is" if joint.steps is None else "epochs and steps are both"
            yield Fault(path, f"{given} given: set one of them")
        for index, task in enumerate(joint.tasks or ()):
            if task not in tasks:
                message = f"there is no task '{task}'{suggestion(task, tasks)}; known: {', '.join(tasks)}"
                yield Fault((*path, "tasks", index), message, rests_on=(("tasks",),))
            elif task in (joint.tasks or ())[:index]:
                yield Fault((*path, "tasks", index), f"duplicate task {task}")
        if joint.head_tokens is not None and joint.head_tokens >= joint.max_length:
            message = f"must be below max_length, which is {joint.max_length}, not {joint.head_tokens}"
            yield Fault((*path, "head_tokens"), message, rests_on=((*path, "max_length"),))
        yield from _after(experiment, name)


def _after(experiment: Experiment, name: str) -> Iterator[Fault]:
    joint, path = experiment.multi_task[name], ("multi_task", name, "after")
    if joint.after is None:
        return
    known = tuple(experiment.pretraining)
    if joint.after not in known:
        message = f"there is no pretraining '{joint.after}'{suggestion(joint.after, known)}; known: "
        message += ", ".join(known) or "none"
        yield Fault(path, message, rests_on=(("pretraining", joint.after),))
    elif experiment.pretraining[joint.after].corpus == "within-task":
        tasks = joint.tasks or tuple(task.task for task in experiment.tasks)
        if len(tasks) > 1:
            message = (
                f"'{joint.after}' reads the texts of one task, not of {len(tasks)}: name one under tasks"
            )
            yield Fault(path, message, rests_on=((*path[:2], "tasks"), ("tasks",)))


def _between(experiment: Experiment) -> Iterator[Fault]:
    """Requested pairs of models that do not exist."""
    for index, kind in enumerate(experiment.measures.cka_between):
        path = ("measures", "cka_between", index)
        if kind == "seeds" and len(experiment.seeds) < 2:
            yield Fault(path, "there is one seed: give more under seeds", rests_on=(("seeds",),))
        if kind == "conditions" and experiment.search is not None:
            message = "conditions of a search are not compared: enumerate them under grid"
            yield Fault(path, message, rests_on=(("search",),))
        elif kind == "conditions" and len(grid_cells(experiment)) < 2:
            yield Fault(path, "there is one condition: give more under grid", rests_on=(("grid",),))
        if kind == "tasks" and len(experiment.tasks) < 2:
            yield Fault(path, "there is one task: give more under tasks", rests_on=(("tasks",),))
        if kind == "tasks" and not experiment.probing:
            message = "models of two tasks are compared on the same texts: name such texts under probing"
            yield Fault(path, message, rests_on=(("probing",),))
