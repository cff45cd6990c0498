"""Optuna proposes conditions; the store is its memory.

One study for each task and grid cell. A trial is a condition: its value is the mean of the objective over
the seeds. Every proposal comes from a study built anew of the conditions so far, those found in the store
first, so that a restart goes on as if nothing had happened. Finished trials are mirrored to an Optuna storage
in the store, which optuna-dashboard reads.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState, create_trial

from jobs.reporting.study import read_curves
from orchestrator.experiment.experiment import Choices, Experiment, Range, Recipe, Search
from orchestrator.experiment.shape import annotation_of, takes_fractions
from orchestrator.experiment.variants import Variant, grid_cells, make_recipe, search_space
from orchestrator.planning.plan import VARIANT_KINDS, Plan, PlannedVariant
from orchestrator.search.schedule import Schedule
from orchestrator.store.artifacts import Store
from orchestrator.store.databases import ensure_database

Planner = Callable[[list[Variant]], Plan]

STORAGE = "optuna.db"
MOST_ATTEMPTS = 50
"""Proposals in a row that were all tried before: then the space has nothing new."""


def storage_url(store: Store) -> str:
    """Where the studies are mirrored; `optuna-dashboard URL` opens it."""
    return f"sqlite:///{store.root / STORAGE}"


@dataclass
class _Condition:
    """What one trial computes."""

    factors: Mapping[str, Any]
    """In the spelling of `_Cell.factors_of`, so that two spellings of one recipe are one condition."""
    variants: tuple[PlannedVariant, ...]
    """One for each seed."""
    state: TrialState = TrialState.RUNNING
    value: float | None = None
    """Mean of the objective over the seeds; nothing while it runs, or where a seed has none."""

    @property
    def keys(self) -> frozenset[str]:
        """Keys of its finetune stages."""
        return frozenset(variant.key for variant in self.variants)


@dataclass(frozen=True)
class _KnownVariant:
    """A variant that has been tried, by what the store says of it."""

    key: str
    task: str
    recipe: Mapping[str, Any]


class OptunaSearch:
    """Adds proposed variants to a schedule until every study has its trials."""

    def __init__(self, experiment: Experiment, schedule: Schedule, planner: Planner, *, at_once: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        known = _known_variants(schedule.store)
        ensure_database(schedule.store.root / STORAGE, _make_storage)
        mirror = optuna.storages.RDBStorage(storage_url(schedule.store))
        self._studies = [
            _Study(cell, schedule, _new_mirror(mirror, cell.name, cell.direction), known, at_once=at_once)
            for cell in _cells(experiment, planner)
        ]

    def refill(self) -> bool:
        """Learn from finished conditions, propose new ones; whether more may come."""
        return any([study.refill() for study in self._studies])


def stored_variants(experiment: Experiment, planner: Planner, store: Store) -> list[PlannedVariant]:
    """Variants of the conditions that a search has tried already, oldest first."""
    known = _known_variants(store)
    return [
        variant
        for cell in _cells(experiment, planner)
        for condition in cell.conditions(known)
        for variant in condition.variants
    ]


@dataclass(frozen=True)
class _Cell:
    """A task and a cell of the grid: what one study searches in."""

    experiment: Experiment
    planner: Planner
    task: str
    fixed: Mapping[str, Any]
    """The factors that the grid sets."""

    @property
    def search(self) -> Search:
        assert self.experiment.search is not None
        return self.experiment.search

    @property
    def name(self) -> str:
        """Of the study in the mirror."""
        shown = " ".join(f"{name}={value}" for name, value in self.fixed.items())
        return " ".join(part for part in (self.experiment.experiment, self.task, shown) if part)

    @property
    def direction(self) -> str:
        return "minimize" if self.search.objective == "validation/loss" else "maximize"

    @cached_property
    def distributions(self) -> dict[str, BaseDistribution]:
        return {name: _distribution(name, given) for name, given in search_space(self.experiment).items()}

    def condition(self, factors: Mapping[str, Any]) -> _Condition:
        """The condition of some factors."""
        recipe = make_recipe(self.experiment, {**self.fixed, **factors})
        asked = [Variant(self.task, recipe, seed) for seed in self.experiment.seeds]
        variants = self.planner(asked).variants
        return _Condition(self.factors_of(variants[0].recipe), variants)

    def conditions(self, known: Sequence[_KnownVariant]) -> Iterator[_Condition]:
        """Those of the known variants' conditions that lie in this cell."""
        seen: set[str] = set()
        for variant in known:
            if variant.task != self.task or variant.key in seen:
                continue
            factors = self.factors_of(variant.recipe)
            if not all(_is_inside(self.distributions[name], value) for name, value in factors.items()):
                continue
            condition = self.condition(factors)
            if variant.key in condition.keys:
                seen |= condition.keys
                yield condition

    def factors_of(self, recipe: Mapping[str, Any]) -> dict[str, Any]:
        """The searched factors of a planned recipe; of several spellings of one recipe, always the same."""
        return {
            name: self._first(name) if _is_without_effect(name, recipe.get(name)) else recipe.get(name)
            for name in self.distributions
        }

    def _first(self, name: str) -> Any:
        distribution = self.distributions[name]
        if isinstance(distribution, CategoricalDistribution):
            return distribution.choices[0]
        assert isinstance(distribution, FloatDistribution | IntDistribution)
        return distribution.low


class _Study:
    def __init__(
        self,
        cell: _Cell,
        schedule: Schedule,
        mirror: optuna.Study,
        known: Sequence[_KnownVariant],
        *,
        at_once: int,
    ) -> None:
        self._cell, self._schedule, self._mirror, self._at_once = cell, schedule, mirror, at_once
        self._conditions: list[_Condition] = []
        self._is_exhausted = False
        for condition in cell.conditions(known):
            self._add(condition)

    def refill(self) -> bool:
        for condition in self._open():
            if self._is_settled(condition):
                self._learn(condition)
        while self._may_propose() and len(self._open()) < self._at_once:
            self._propose()
        return bool(self._open()) or self._may_propose()

    def _open(self) -> list[_Condition]:
        return [one for one in self._conditions if one.state == TrialState.RUNNING]

    def _may_propose(self) -> bool:
        return len(self._conditions) < self._cell.search.trials and not self._is_exhausted

    def _propose(self) -> None:
        """Add a condition that was not tried; a small space may have no more of them."""
        tried = [one.keys for one in self._conditions]
        for attempt in range(MOST_ATTEMPTS):
            condition = self._cell.condition(self._proposal(attempt))
            if condition.keys not in tried:
                self._add(condition)
                return
        self._is_exhausted = True

    def _proposal(self, attempt: int) -> dict[str, Any]:
        """What Optuna proposes after the conditions so far; the same again after a restart."""
        search = self._cell.search
        seeds = np.random.SeedSequence([search.seed, len(self._conditions), attempt])
        sampler = optuna.samplers.TPESampler(
            seed=int(seeds.generate_state(1)[0]),
            n_startup_trials=search.startup_trials,
            constant_liar=True,
        )
        study = optuna.create_study(direction=self._cell.direction, sampler=sampler)
        study.add_trials([self._trial(condition, condition.state) for condition in self._conditions])
        return study.ask(self._cell.distributions).params

    def _add(self, condition: _Condition) -> None:
        self._conditions.append(condition)
        self._schedule.add(condition.variants)

    def _is_settled(self, condition: _Condition) -> bool:
        stages = (variant.stages["finetune"] for variant in condition.variants)
        settled = ("stored", "computed", "failed", "blocked", "stopped")
        return all(self._schedule.state(stage) in settled for stage in stages)

    def _learn(self, condition: _Condition) -> None:
        value = fmean([self._value(variant) for variant in condition.variants])
        states = {self._schedule.state(variant.stages["finetune"]) for variant in condition.variants}
        if math.isfinite(value):
            condition.value, condition.state = value, TrialState.COMPLETE
        else:
            condition.state = TrialState.FAIL
        was_stopped = condition.state == TrialState.COMPLETE and "stopped" in states
        self._mirror.add_trial(self._trial(condition, TrialState.PRUNED if was_stopped else condition.state))

    def _value(self, variant: PlannedVariant) -> float:
        """The objective of a finished variant, or the best it had reached when it was stopped."""
        stage, store, objective = (
            variant.stages["finetune"],
            self._schedule.store,
            self._cell.search.objective,
        )
        match self._schedule.state(stage):
            case "stored" | "computed":
                return store.record(stage)["metrics"].get(objective, math.nan)
            case "stopped":
                points = read_curves(store.scratch_path(stage))
                values = [one.value for one in points if one.metric == objective and math.isfinite(one.value)]
                best = min if self._cell.direction == "minimize" else max
                return best(values, default=math.nan)
            case _:
                return math.nan

    def _trial(self, condition: _Condition, state: TrialState) -> FrozenTrial:
        is_pruned = state == TrialState.PRUNED and condition.value is not None
        return create_trial(
            params=dict(condition.factors),
            distributions=self._cell.distributions,
            value=condition.value,
            state=state,
            intermediate_values={0: condition.value} if is_pruned else {},
            user_attrs={"condition": condition.variants[0].condition},
        )


def _cells(experiment: Experiment, planner: Planner) -> list[_Cell]:
    return [
        _Cell(experiment, planner, task.task, cell)
        for task in experiment.tasks
        for cell in grid_cells(experiment)
    ]


def _known_variants(store: Store) -> list[_KnownVariant]:
    """Variants that were tried, in the order in which they ended; those that failed are tried again."""
    found = []
    for record in (one for kind in VARIANT_KINDS for one in store.records(kind)):
        origin = record["provenance"]
        if "variant" in origin:
            ended = datetime.fromisoformat(origin["started"]).timestamp() + origin["seconds"]
            found.append((ended, record["key"], origin["variant"]))
    for entry in store.outcomes():
        if entry["variant"]:
            found.append((entry["ended"], entry["key"], entry["variant"]))
    found.sort(key=lambda one: one[:2])
    return [_KnownVariant(key, labels["task"], labels["recipe"]) for _, key, labels in found]


def _is_without_effect(name: str, shown: Any) -> bool:
    """Whether a plan shows that a factor changed nothing: no text was cut, or it is none of this recipe's."""
    return shown is None or (name, shown) == ("truncation", "whole")


def _distribution(name: str, given: Range | Choices) -> BaseDistribution:
    if isinstance(given, Choices):
        return CategoricalDistribution(given.choices)
    if takes_fractions(annotation_of(Recipe.model_fields[name])):
        return FloatDistribution(given.low, given.high, log=given.log)
    return IntDistribution(int(given.low), int(given.high), log=given.log)


def _is_inside(distribution: BaseDistribution, value: Any) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return isinstance(value, int | float) and distribution.low <= value <= distribution.high


def _make_storage(path: Path) -> None:
    """Open Optuna's database, which makes its tables."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    storage.get_all_studies()
    storage.engine.dispose()


def _new_mirror(storage: optuna.storages.BaseStorage, name: str, direction: str) -> optuna.Study:
    """An empty study of this name: what the store knows is written into it again."""
    if name in optuna.study.get_all_study_names(storage):
        optuna.delete_study(study_name=name, storage=storage)
    return optuna.create_study(study_name=name, storage=storage, direction=direction)
