"""What must hold between the parts of an experiment, each of which is sound by itself."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from pydantic import ValidationError

from orchestrator.experiment.experiment import (
    MAIN,
    RANDOM,
    START,
    Choices,
    Experiment,
    Grid,
    Range,
    Recipe,
)
from orchestrator.experiment.faults import suggestion
from orchestrator.experiment.pretrainings import pretraining_faults
from orchestrator.experiment.shape import annotation_of, in_words, is_number
from orchestrator.experiment.variants import grid_cells
from orchestrator.experiment.written import PathTo, dotted


@dataclass(frozen=True)
class Contradiction:
    """A fault at a written path; at its key where the key is what is wrong.

    `rests_on` are the other paths that it follows from: while one of them is at fault it need not be so.
    """

    path: PathTo
    message: str
    of_key: bool = False
    rests_on: tuple[PathTo, ...] = ()


def contradictions(experiment: Experiment) -> Iterator[Contradiction]:
    """Everything in an experiment that does not go together."""
    yield from _encoder(experiment)
    yield from _tasks(experiment)
    yield from _measures(experiment)
    yield from _repeated_values(experiment)
    yield from _exclude(experiment)
    yield from _space(experiment)
    yield from _pretraining(experiment)
    yield from _multi_task(experiment)
    yield from _heads(experiment)
    yield from _head_tokens(experiment)
    yield from _pooler(experiment)
    yield from _early_stopping(experiment)
    yield from _exclusive(experiment)
    yield from _between(experiment)


def _encoder(experiment: Experiment) -> Iterator[Contradiction]:
    sources = {("encoder",): experiment.encoder}
    sources |= {("encoders", name): source for name, source in experiment.encoders.items()}
    for path, source in sources.items():
        if not (source.folder or source.hub or source.package or source.mlflow or source.scratch):
            yield Contradiction(path, "names no source: give folder, hub, package, mlflow or scratch")
    if MAIN in experiment.encoders:
        message = f"the name '{MAIN}' stands for the encoder above: choose another"
        yield Contradiction(("encoders", MAIN), message, of_key=True)
    known = (MAIN, *(name for name in experiment.encoders if name != MAIN))
    for path, name in _values(experiment, "encoder"):
        if name not in known:
            message = f"there is no encoder '{name}'{suggestion(str(name), known)}; known: {', '.join(known)}"
            yield Contradiction(path, message, rests_on=(("encoders", str(name)),))


def _tasks(experiment: Experiment) -> Iterator[Contradiction]:
    named = [(("tasks", index), task.task) for index, task in enumerate(experiment.tasks)]
    named += [(("corpora", index), corpus.task) for index, corpus in enumerate(experiment.corpora)]
    yield from _repeated_names(named)
    yield from _repeated_names(
        [(("probing", index), task.task) for index, task in enumerate(experiment.probing)]
    )
    for part, tasks in (("tasks", experiment.tasks), ("probing", experiment.probing)):
        for index, task in enumerate(tasks):
            path = (part, index, "columns", "text_pair")
            if task.columns.text_pair is not None and task.data.source == "sample":
                yield Contradiction(path, "the generator's documents are single texts: leave it out")
            elif task.columns.text_pair == task.columns.text:
                yield Contradiction(path, f"is the same column as text, '{task.columns.text}'")
    for index, task in enumerate(experiment.probing):
        if task.task == START:
            yield Contradiction(("probing", index, "task"), f"'{START}' stands for the encoder before tuning")
        elif task.task == RANDOM:
            yield Contradiction(("probing", index, "task"), f"'{RANDOM}' stands for fresh weights")
        elif task.task.startswith("at-"):
            message = "a name that begins with 'at-' stands for a checkpoint along the training"
            yield Contradiction(("probing", index, "task"), message)


def _measures(experiment: Experiment) -> Iterator[Contradiction]:
    measures = experiment.measures
    annotated = any(task.has_units for task in (*experiment.tasks, *experiment.probing))
    if measures.control and not measures.probes:
        message = "there is no probe to control: must be false where probe is"
        yield Contradiction(("measures", "control"), message, rests_on=(("measures", "probe"),))
    elif measures.control and not annotated:
        message = "labels are drawn for each word: name a task of annotated sentences"
        yield Contradiction(("measures", "control"), message, rests_on=(("probing",),))
    if "partial_cka" in measures.similarity:
        for index, task in enumerate(experiment.tasks):
            if task.has_units:
                message = "its inputs are texts, and this task has units of sentences: leave it out"
                where = ("measures", "similarity", measures.similarity.index("partial_cka"))
                yield Contradiction(where, message, rests_on=(("tasks", index),))
    if measures.random_encoder and not (measures.probes or measures.description_length):
        message = "nothing is measured of fresh weights: must be false without probe and description_length"
        yield Contradiction(("measures", "random_encoder"), message, rests_on=(("measures", "probe"),))


def _repeated_names(named: list[tuple[PathTo, str]]) -> Iterator[Contradiction]:
    first: dict[str, PathTo] = {}
    for path, name in named:
        if name in first:
            message = f"two tasks are called '{name}'; the other is {dotted(first[name])}"
            yield Contradiction((*path, "task"), message)
        first.setdefault(name, path)


def _repeated_values(experiment: Experiment) -> Iterator[Contradiction]:
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
                yield Contradiction((*path, index), f"{value} stands here twice")


def _exclude(experiment: Experiment) -> Iterator[Contradiction]:
    for index, entry in enumerate(experiment.exclude):
        path = ("exclude", index)
        given = _named(entry)
        if not given:
            yield Contradiction(path, "names no factor: the whole grid would be left out")
        for factor, values in given.items():
            enumerated = getattr(experiment.grid, factor)
            if enumerated is None:
                message = "is not under grid: there is nothing to leave out"
                yield Contradiction((*path, factor), message, of_key=True, rests_on=(("grid", factor),))
                continue
            for position, value in enumerate(values):
                if value not in enumerated:
                    message = f"{_tidy(value)} is not under grid.{factor}"
                    yield Contradiction((*path, factor, position), message, rests_on=(("grid", factor),))
    if all(_named(entry) for entry in experiment.exclude) and not grid_cells(experiment):
        yield Contradiction(("exclude",), "leaves nothing of the grid")


def _named(grid: Grid) -> dict[str, tuple[Any, ...]]:
    return {factor: values for factor, values in grid if values is not None}


def _space(experiment: Experiment) -> Iterator[Contradiction]:
    if experiment.search is None:
        return
    space = {factor: values for factor, values in experiment.search.space if values is not None}
    if not space:
        yield Contradiction(("search", "space"), "names no factor: give at least one, such as learning_rate")
    for factor, values in space.items():
        path = ("search", "space", factor)
        if getattr(experiment.grid, factor) is not None:
            message = "is under grid too: enumerate it there or search it here"
            yield Contradiction(path, message, of_key=True, rests_on=(("grid", factor),))
        match values:
            case Range():
                yield from _range(path, factor, values)
            case Choices():
                for index, value in enumerate(values.choices):
                    yield from _invalid((*path, "choices", index), factor, value)


def _range(path: PathTo, factor: str, values: Range) -> Iterator[Contradiction]:
    if not is_number(annotation_of(Recipe.model_fields[factor])):
        yield Contradiction(path, f"{factor} is not a number: write choices instead of low and high")
        return
    yield from _invalid((*path, "low"), factor, values.low)
    yield from _invalid((*path, "high"), factor, values.high)
    if values.low >= values.high:
        message = f"must be above low, which is {_tidy(values.low)}, not {_tidy(values.high)}"
        yield Contradiction((*path, "high"), message, rests_on=((*path, "low"),))
    if factor == "train_size" and (values.low < 1) != (values.high < 1):
        message = "low and high must both be shares below 1, or both numbers of texts"
        yield Contradiction(path, message, rests_on=((*path, "low"), (*path, "high")))
    if values.log and values.low <= 0:
        message = f"must be above 0 on a logarithmic scale, not {_tidy(values.low)}"
        yield Contradiction((*path, "low"), message)


def _invalid(path: PathTo, factor: str, value: Any) -> Iterator[Contradiction]:
    value = _tidy(value)
    try:
        Recipe.model_validate_json(json.dumps({factor: value}))
    except ValidationError:
        rule = in_words(annotation_of(Recipe.model_fields[factor]))
        yield Contradiction(path, f"{factor} must be {rule}, not {json.dumps(value)}")


def _pretraining(experiment: Experiment) -> Iterator[Contradiction]:
    values = [(path, str(value)) for path, value in _values(experiment, "pretraining")]
    for fault in pretraining_faults(experiment, values):
        yield Contradiction(fault.path, fault.message, of_key=fault.of_key, rests_on=fault.rests_on)


def _multi_task(experiment: Experiment) -> Iterator[Contradiction]:
    tasks = tuple(task.task for task in experiment.tasks)
    for name, joint in experiment.multi_task.items():
        path = ("multi_task", name)
        if name == "none" or name in experiment.pretraining:
            message = f"the name '{name}' is taken by pretraining: choose another"
            yield Contradiction(path, message, of_key=True, rests_on=(("pretraining", name),))
        if (joint.epochs is None) == (joint.steps is None):
            given = "neither epochs nor steps is" if joint.steps is None else "epochs and steps are both"
            yield Contradiction(path, f"{given} given: say one of them")
        for index, task in enumerate(joint.tasks or ()):
            if task not in tasks:
                message = f"there is no task '{task}'{suggestion(task, tasks)}; known: {', '.join(tasks)}"
                yield Contradiction((*path, "tasks", index), message, rests_on=(("tasks",),))
            elif task in (joint.tasks or ())[:index]:
                yield Contradiction((*path, "tasks", index), f"{task} stands here twice")
        if joint.head_tokens is not None and joint.head_tokens >= joint.max_length:
            message = f"must be below max_length, which is {joint.max_length}, not {joint.head_tokens}"
            yield Contradiction((*path, "head_tokens"), message, rests_on=((*path, "max_length"),))
        yield from _after(experiment, name)


def _after(experiment: Experiment, name: str) -> Iterator[Contradiction]:
    joint, path = experiment.multi_task[name], ("multi_task", name, "after")
    if joint.after is None:
        return
    known = tuple(experiment.pretraining)
    if joint.after not in known:
        message = f"there is no pretraining '{joint.after}'{suggestion(joint.after, known)}; known: "
        message += ", ".join(known) or "none"
        yield Contradiction(path, message, rests_on=(("pretraining", joint.after),))
    elif experiment.pretraining[joint.after].corpus == "within-task":
        tasks = joint.tasks or tuple(task.task for task in experiment.tasks)
        if len(tasks) > 1:
            message = (
                f"'{joint.after}' reads the texts of one task, not of {len(tasks)}: name one under tasks"
            )
            yield Contradiction(path, message, rests_on=((*path[:2], "tasks"), ("tasks",)))


def _heads(experiment: Experiment) -> Iterator[Contradiction]:
    """A head with an LSTM stands on frozen features only, and those are of texts that are one sequence."""
    cells = grid_cells(experiment)
    together = {
        (features, head, truncation)
        for cell in cells
        for features in _options(experiment, cell, "features")
        for head in _options(experiment, cell, "head")
        for truncation in _options(experiment, cell, "truncation")
    }
    if any(head == "bilstm" and features is None for features, head, _ in together):
        message = (
            "stands on frozen features, and features has null, which trains the encoder: "
            "give it layers only, such as last, or exclude null with bilstm"
        )
        for path, head in _values(experiment, "head"):
            if head == "bilstm":
                yield Contradiction(path, message, rests_on=_written("features"))
    is_paired = any(task.columns.text_pair is not None for task in experiment.tasks)
    in_windows = any(features is not None and cut == "windows" for features, _, cut in together)
    reasons = {"the tasks have pairs of texts": is_paired, "windows are read": in_windows}
    if what := next((reason for reason, holds in reasons.items() if holds), None):
        for path, features in _values(experiment, "features"):
            if features is not None:
                message = f"frozen features are of single texts in one sequence, and {what}: must be null"
                yield Contradiction(path, message, rests_on=_written("truncation"))


def _options(experiment: Experiment, cell: Mapping[str, Any], factor: str) -> tuple[Any, ...]:
    """What a factor may be in a cell of the grid."""
    return (cell[factor],) if factor in cell else tuple(value for _, value in _values(experiment, factor))


def _head_tokens(experiment: Experiment) -> Iterator[Contradiction]:
    shortest = min(limit for _, limit in _values(experiment, "max_length"))
    for path, tokens in _values(experiment, "head_tokens"):
        if tokens is not None and tokens >= shortest:
            message = f"must be below max_length, which is {_tidy(shortest)}, not {_tidy(tokens)}"
            yield Contradiction(path, message, rests_on=_written("max_length"))


def _pooler(experiment: Experiment) -> Iterator[Contradiction]:
    others = [layers for _, layers in _values(experiment, "layers") if layers != "last"]
    for path, pooling in _values(experiment, "pooling"):
        if pooling == "pooler" and others:
            message = (
                f"the pooler reads the last layer alone: must be cls or mean with layers {_tidy(others[0])}"
            )
            yield Contradiction(path, message, rests_on=_written("layers"))


def _early_stopping(experiment: Experiment) -> Iterator[Contradiction]:
    if experiment.early_stopping is None:
        return
    epochs = [value for _, value in _values(experiment, "epochs")]
    each = [value for _, value in _values(experiment, "evaluations_per_epoch")]
    most = _tidy(max(left * right for left, right in product(epochs, each)))
    grace_period = experiment.early_stopping.grace_period
    if most <= grace_period:
        message = (
            f"nothing can be stopped early: must be below {most}, the evaluations of the longest variant "
            f"(epochs x evaluations_per_epoch), not {grace_period}"
        )
        path = ("early_stopping", "grace_period")
        yield Contradiction(path, message, rests_on=_written("epochs", "evaluations_per_epoch"))


def _exclusive(experiment: Experiment) -> Iterator[Contradiction]:
    """Values of two factors that no variant may have together."""
    adapters = "adapters (lora_rank) leave the encoder's own weights as they are, so"
    pairs = [
        ("frozen_layers", lambda value: value != 0, "lora_rank", _is_given, f"{adapters} must be 0"),
        ("reinitialised_layers", lambda value: value != 0, "lora_rank", _is_given, f"{adapters} must be 0"),
        (
            "reinitialised_layers",
            lambda value: value != 0,
            "frozen_layers",
            lambda value: value == "all",
            "with frozen_layers: all they would never be trained: must be 0",
        ),
        (
            "schedule",
            lambda value: value != "linear",
            "optimizer",
            lambda value: value == "bert-adam",
            "bert-adam has a linear schedule of its own: must be linear",
        ),
    ]
    for factor, is_wrong, other, is_cause, message in pairs:
        if any(is_cause(value) for _, value in _values(experiment, other)):
            for path, value in _values(experiment, factor):
                if is_wrong(value):
                    yield Contradiction(path, f"{message}, not {_tidy(value)}", rests_on=_written(other))


def _between(experiment: Experiment) -> Iterator[Contradiction]:
    """Pairs of models that the experiment does not have."""
    for index, kind in enumerate(experiment.measures.cka_between):
        path = ("measures", "cka_between", index)
        if kind == "seeds" and len(experiment.seeds) < 2:
            yield Contradiction(path, "there is one seed: give more under seeds", rests_on=(("seeds",),))
        if kind == "conditions" and experiment.search is not None:
            message = "conditions that a search proposes are not compared: enumerate them under grid"
            yield Contradiction(path, message, rests_on=(("search",),))
        elif kind == "conditions" and len(grid_cells(experiment)) < 2:
            yield Contradiction(path, "there is one condition: give more under grid", rests_on=(("grid",),))
        if kind == "tasks" and len(experiment.tasks) < 2:
            yield Contradiction(path, "there is one task: give more under tasks", rests_on=(("tasks",),))
        if kind == "tasks" and not experiment.probing:
            message = "models of two tasks are compared over the same texts: name such texts under probing"
            yield Contradiction(path, message, rests_on=(("probing",),))


def _is_given(value: Any) -> bool:
    return value is not None


def _written(*factors: str) -> tuple[PathTo, ...]:
    """Everywhere that the values of some factors may be written."""
    parts = (("recipe",), ("grid",), ("search", "space"))
    return tuple((*part, factor) for factor in factors for part in parts)


def _values(experiment: Experiment, factor: str) -> Iterator[tuple[PathTo, Any]]:
    """Every value that a factor may take, with where it is written."""
    searched = getattr(experiment.search.space, factor) if experiment.search else None
    enumerated = getattr(experiment.grid, factor)
    if enumerated is not None:
        yield from ((("grid", factor, index), value) for index, value in enumerate(enumerated))
    match searched:
        case Range(low=low, high=high):
            yield ("search", "space", factor, "low"), low
            yield ("search", "space", factor, "high"), high
        case Choices(choices=choices):
            yield from ((("search", "space", factor, "choices", i), value) for i, value in enumerate(choices))
    if enumerated is None and searched is None:
        yield ("recipe", factor), getattr(experiment.recipe, factor)


def _tidy(number: Any) -> Any:
    return int(number) if isinstance(number, float) and number.is_integer() else number
