"""What one study searches in, a task and a cell of the grid; and how much of it has been tried."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from layerscope.orchestrator.experiment.experiment import Choices, Experiment, Range, Recipe, Search
from layerscope.orchestrator.experiment.schema_in_words import annotation_of, takes_fractions
from layerscope.orchestrator.experiment.variants import Variant, grid_cells, make_recipe, search_space
from layerscope.orchestrator.planning.plan import Plan, PlannedVariant
from layerscope.orchestrator.search.untried import MOST_DRAWS, combinations, num_combinations

Planner = Callable[[list[Variant]], Plan]


@dataclass(frozen=True)
class KnownVariant:
    """A variant that has been tried, by what the store says of it."""

    key: str
    task: str
    recipe: Mapping[str, Any]


@dataclass(frozen=True)
class Progress:
    """How far a study is."""

    study: str
    """Its task and cell of the grid."""
    tried: int
    """Conditions that were proposed, those found in the store included."""
    trials: int
    """Requested conditions."""
    is_used_up: bool
    """Whether the space has no other condition."""

    def sentence(self) -> str:
        """A warning; empty if the requested number of conditions was tried."""
        if self.tried >= self.trials:
            return ""
        if self.is_used_up:
            return (
                f"The search of {self.study} has tried all {self.tried} conditions that its space has; "
                f"{self.trials} were requested."
            )
        return f"The search of {self.study} has tried {self.tried} of {self.trials} conditions."


@dataclass(frozen=True)
class Cell:
    """A task and a cell of the grid: what one study searches in."""

    experiment: Experiment
    planner: Planner
    task: str
    fixed: Mapping[str, Any]
    """The factors that the grid sets."""

    @property
    def search(self) -> Search:
        """The request."""
        assert self.experiment.search is not None
        return self.experiment.search

    @property
    def objective(self) -> str:
        """The metric that is searched for: by default the task's own on the validation split."""
        metric_by_task = {task.task: task.metric_name for task in self.experiment.tasks}
        return self.search.objective or f"validation/{metric_by_task[self.task]}"

    @property
    def name(self) -> str:
        """Its task, and the factors that the grid sets."""
        shown = (f"{name}={value}" for name, value in self.fixed.items())
        return " ".join((self.task, *shown))

    @cached_property
    def distributions(self) -> dict[str, BaseDistribution]:
        """Of each searched factor."""
        return {name: _distribution(name, given) for name, given in search_space(self.experiment).items()}

    def variants(self, factors: Mapping[str, Any]) -> tuple[PlannedVariant, ...]:
        """The condition of some factors: a variant for each seed. What was planned once is remembered."""
        asked_for = tuple(factors.items())
        if asked_for not in self._planned:
            recipe = make_recipe(self.experiment, {**self.fixed, **factors})
            asked = [Variant(self.task, recipe, seed) for seed in self.experiment.seeds]
            self._planned[asked_for] = self.planner(asked).variants
        return self._planned[asked_for]

    @cached_property
    def _planned(self) -> dict[tuple[tuple[str, Any], ...], tuple[PlannedVariant, ...]]:
        return {}

    def conditions(
        self, known: Iterable[KnownVariant | PlannedVariant]
    ) -> Iterator[tuple[PlannedVariant, ...]]:
        """Those of the known variants' conditions that lie in this cell, each once."""
        seen: set[str] = set()
        for variant in known:
            if variant.task != self.task or variant.key in seen:
                continue
            factors = self.factors_of(variant.recipe)
            if not all(_is_inside(self.distributions[name], value) for name, value in factors.items()):
                continue
            variants = self.variants(factors)
            if variant.key in keys_of(variants):
                seen |= keys_of(variants)
                yield variants

    def factors_of(self, recipe: Mapping[str, Any]) -> dict[str, Any]:
        """The searched factors of a planned recipe; of several spellings of one recipe, always the same."""
        return {
            name: self._first(name) if _is_without_effect(name, recipe.get(name)) else recipe.get(name)
            for name in self.distributions
        }

    def progress(self, known: Iterable[PlannedVariant]) -> Progress:
        """How far its study is."""
        tried = {keys_of(variants) for variants in self.conditions(known)}
        trials = self.search.trials
        is_used_up = len(tried) < trials and self._has_no_more_than(tried)
        return Progress(self.name, len(tried), trials, is_used_up)

    def _has_no_more_than(self, tried: set[frozenset[str]]) -> bool:
        number = num_combinations(self.distributions)
        if number is None or number > MOST_DRAWS:
            return False
        return all(
            keys_of(self.variants(factors)) in tried for factors in combinations(self.distributions, seed="")
        )

    def _first(self, name: str) -> Any:
        distribution = self.distributions[name]
        if isinstance(distribution, CategoricalDistribution):
            return distribution.choices[0]
        assert isinstance(distribution, FloatDistribution | IntDistribution)
        return distribution.low


def cells_of(experiment: Experiment, planner: Planner) -> list[Cell]:
    """A cell for each task and combination of the grid."""
    return [
        Cell(experiment, planner, task.task, cell)
        for task in experiment.tasks
        for cell in grid_cells(experiment)
    ]


def keys_of(variants: Iterable[PlannedVariant]) -> frozenset[str]:
    """Keys of a condition's own trainings: those of two spellings of one condition are the same."""
    return frozenset(variant.key for variant in variants)


def most_conditions(experiment: Experiment) -> int | None:
    """How many conditions the space of each study has at most; None where a factor is continuous."""
    space = search_space(experiment)
    return num_combinations({name: _distribution(name, given) for name, given in space.items()})


def _is_without_effect(name: str, shown: Any) -> bool:
    """Whether a plan shows that a factor changed nothing: no text was cut, or it is none of this recipe's."""
    return shown is None or (name, shown) == ("truncation", "whole")


def _distribution(name: str, given: Range | Choices) -> BaseDistribution:
    if isinstance(given, Choices):
        return CategoricalDistribution(given.choices)
    counts_texts = name == "train_size" and given.low >= 1
    if takes_fractions(annotation_of(Recipe.model_fields[name])) and not counts_texts:
        return FloatDistribution(given.low, given.high, log=given.log)
    return IntDistribution(int(given.low), int(given.high), log=given.log)


def _is_inside(distribution: BaseDistribution, value: Any) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return isinstance(value, int | float) and distribution.low <= value <= distribution.high
