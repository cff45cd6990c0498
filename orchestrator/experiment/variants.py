"""The variants of an experiment: grid cells x seeds, and conditions of a search."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from layerscope.jobs.specs.faults import PathTo
from layerscope.orchestrator.experiment.experiment import Choices, Experiment, Grid, Range, Recipe


@dataclass(frozen=True)
class Variant:
    """One recipe on one task with one seed."""

    task: str
    recipe: Recipe
    seed: int


def varied_factors(experiment: Experiment) -> tuple[str, ...]:
    """Names of the factors under `grid` and `search.space`, in the order of the recipe."""
    given = set(grid_values(experiment)) | set(search_space(experiment))
    return tuple(name for name in Recipe.model_fields if name in given)


def grid_values(experiment: Experiment) -> dict[str, tuple[object, ...]]:
    """The values of each factor under `grid`."""
    values = {name: getattr(experiment.grid, name) for name in Recipe.model_fields}
    return {name: given for name, given in values.items() if given is not None}


def search_space(experiment: Experiment) -> dict[str, Range | Choices]:
    """The search space of each factor; empty without a search."""
    if experiment.search is None:
        return {}
    space = {name: getattr(experiment.search.space, name) for name in Recipe.model_fields}
    return {name: given for name, given in space.items() if given is not None}


def possible_values(experiment: Experiment, factor: str) -> tuple[Any, ...]:
    """Every value that a factor may take; of a searched range, its ends."""
    return tuple(value for _, value in written_values(experiment, factor))


def written_values(experiment: Experiment, factor: str) -> Iterator[tuple[PathTo, Any]]:
    """The same values with the places where they are set."""
    enumerated, searched = grid_values(experiment).get(factor), search_space(experiment).get(factor)
    if enumerated is not None:
        yield from ((("grid", factor, index), value) for index, value in enumerate(enumerated))
    match searched:
        case Range(low=low, high=high):
            yield ("search", "space", factor, "low"), low
            yield ("search", "space", factor, "high"), high
        case Choices(choices=choices):
            yield from ((("search", "space", factor, "choices", i), value) for i, value in enumerate(choices))
        case None:
            pass
    if enumerated is None and searched is None:
        yield ("recipe", factor), getattr(experiment.recipe, factor)


def places_of(*factors: str) -> tuple[PathTo, ...]:
    """All places where the values of some factors may be set."""
    parts = (("recipe",), ("grid",), ("search", "space"))
    return tuple((*part, factor) for factor in factors for part in parts)


def tidy(number: Any) -> Any:
    """A whole number without the point that a searched range gives it; anything else as it is."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


def grid_cells(experiment: Experiment) -> list[dict[str, object]]:
    """Every combination of the grid's values that is not excluded, the last factor fastest; one empty cell
    without a grid."""
    values = grid_values(experiment)
    cells = [dict(zip(values, combination, strict=True)) for combination in product(*values.values())]
    return [cell for cell in cells if not any(_matches(cell, given) for given in experiment.exclude)]


def _matches(cell: Mapping[str, object], given: Grid) -> bool:
    return all(factor in cell and cell[factor] in values for factor, values in given if values is not None)


def values_in(experiment: Experiment, cell: Mapping[str, Any], factor: str) -> tuple[Any, ...]:
    """What a factor may be in a cell of the grid."""
    return (cell[factor],) if factor in cell else possible_values(experiment, factor)


def make_recipe(experiment: Experiment, factors: Mapping[str, object]) -> Recipe:
    """The experiment's recipe with these factors set, checked again."""
    return Recipe.model_validate(experiment.recipe.model_dump() | dict(factors))


def grid_variants(experiment: Experiment) -> list[Variant]:
    """Tasks x grid cells x seeds; empty when a search proposes the recipes."""
    if experiment.search is not None:
        return []
    return [
        Variant(task.task, make_recipe(experiment, cell), seed)
        for task in experiment.tasks
        for cell in grid_cells(experiment)
        for seed in experiment.seeds
    ]
