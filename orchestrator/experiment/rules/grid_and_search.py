"""Contradictions in excluded grid cells and in search spaces."""

import json
from collections.abc import Iterator
from typing import Any, assert_never

from pydantic import ValidationError

from layerscope.jobs.specs.faults import Fault, PathTo
from layerscope.orchestrator.experiment.experiment import Choices, Experiment, Grid, Range, Recipe
from layerscope.orchestrator.experiment.schema_in_words import annotation_of, in_words, is_number
from layerscope.orchestrator.experiment.variants import grid_cells, search_space, tidy


def grid_faults(experiment: Experiment) -> Iterator[Fault]:
    """Excluded cells that are not in the grid, or are all of it."""
    for index, entry in enumerate(experiment.exclude):
        path = ("exclude", index)
        given = _named(entry)
        if not given:
            yield Fault(path, "names no factor: it would exclude the whole grid")
        for factor, values in given.items():
            enumerated = getattr(experiment.grid, factor)
            if enumerated is None:
                message = "is not under grid: there is nothing to exclude"
                yield Fault((*path, factor), message, of_key=True, rests_on=(("grid", factor),))
                continue
            for position, value in enumerate(values):
                if value not in enumerated:
                    message = f"{tidy(value)} is not under grid.{factor}"
                    yield Fault((*path, factor, position), message, rests_on=(("grid", factor),))
    if all(_named(entry) for entry in experiment.exclude) and not grid_cells(experiment):
        yield Fault(("exclude",), "excludes the whole grid")


def search_faults(experiment: Experiment) -> Iterator[Fault]:
    """Invalid factors of a search space."""
    if experiment.search is None:
        return
    space = search_space(experiment)
    if not space:
        yield Fault(("search", "space"), "names no factor: give at least one, such as learning_rate")
    for factor, values in space.items():
        path = ("search", "space", factor)
        if getattr(experiment.grid, factor) is not None:
            message = "is under grid too: enumerate it there or search it here"
            yield Fault(path, message, of_key=True, rests_on=(("grid", factor),))
        match values:
            case Range():
                yield from _range(path, factor, values)
            case Choices():
                for index, value in enumerate(values.choices):
                    yield from _invalid((*path, "choices", index), factor, value)
            case never:
                assert_never(never)


def _range(path: PathTo, factor: str, values: Range) -> Iterator[Fault]:
    if not is_number(annotation_of(Recipe.model_fields[factor])):
        yield Fault(path, f"{factor} is not a number: write choices instead of low and high")
        return
    yield from _invalid((*path, "low"), factor, values.low)
    yield from _invalid((*path, "high"), factor, values.high)
    if values.low >= values.high:
        message = f"must be above low, which is {tidy(values.low)}, not {tidy(values.high)}"
        yield Fault((*path, "high"), message, rests_on=((*path, "low"),))
    if factor == "train_size" and (values.low < 1) != (values.high < 1):
        message = "low and high must both be shares below 1, or both numbers of texts"
        yield Fault(path, message, rests_on=((*path, "low"), (*path, "high")))
    if values.log and values.low <= 0:
        message = f"must be above 0 on a logarithmic scale, not {tidy(values.low)}"
        yield Fault((*path, "low"), message)


def _invalid(path: PathTo, factor: str, value: Any) -> Iterator[Fault]:
    value = tidy(value)
    try:
        Recipe.model_validate_json(json.dumps({factor: value}))
    except ValidationError:
        rule = in_words(annotation_of(Recipe.model_fields[factor]))
        yield Fault(path, f"{factor} must be {rule}, not {json.dumps(value)}")


def _named(grid: Grid) -> dict[str, tuple[Any, ...]]:
    return {factor: values for factor, values in grid if values is not None}
