"""Optuna proposes conditions, by asking and telling; the store is its memory.

One study for each task and grid cell. A trial is a condition: its value is the mean of the objective over
the seeds. Finished conditions found in the store open the study, and every trial is mirrored to an Optuna
storage beside the store, which optuna-dashboard reads.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState, create_trial

from jobs.reporting.study import read_curves
from orchestrator.experiment.experiment import Choices, Experiment, Range, Recipe
from orchestrator.experiment.variants import Variant, grid_cells, make_recipe, search_space
from orchestrator.planning.plan import Plan, PlannedVariant
from orchestrator.search.schedule import Schedule
from orchestrator.store.artifacts import Store

Planner = Callable[[list[Variant]], Plan]

STORAGE = "optuna.db"


def storage_url(store: Store) -> str:
    """Where the studies are mirrored; `optuna-dashboard URL` opens it."""
    return f"sqlite:///{store.root / STORAGE}"


@dataclass
class _Condition:
    """What one trial computes."""

    trial: optuna.Trial | None
    """Nothing where the condition was found in the store."""
    factors: dict[str, Any]
    variants: tuple[PlannedVariant, ...]


@dataclass(frozen=True)
class KnownVariant:
    """A variant that the store has a result of."""

    key: str
    task: str
    recipe: Mapping[str, Any]


class OptunaSearch:
    """Adds proposed variants to a schedule until every study has its trials."""

    def __init__(self, experiment: Experiment, schedule: Schedule, planner: Planner, *, at_once: int) -> None:
        assert experiment.search is not None
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        known = known_variants(schedule.store)
        mirror = _storage(schedule.store)
        self._studies = [
            _Study(experiment, schedule, planner, mirror, task.task, cell, known, at_once=at_once)
            for task in experiment.tasks
            for cell in grid_cells(experiment)
        ]

    def refill(self) -> bool:
        """Tell finished conditions, ask for new ones; whether more may come."""
        return any([study.refill() for study in self._studies])


class _Study:
    def __init__(
        self,
        experiment: Experiment,
        schedule: Schedule,
        planner: Planner,
        mirror: optuna.storages.BaseStorage,
        task: str,
        cell: Mapping[str, Any],
        known: list[KnownVariant],
        *,
        at_once: int,
    ) -> None:
        assert experiment.search is not None
        self._experiment, self._search = experiment, experiment.search
        self._schedule, self._planner, self._task, self._cell = schedule, planner, task, dict(cell)
        self._at_once = at_once
        self._space = search_space(experiment)
        self._distributions = {name: _distribution(name, given) for name, given in self._space.items()}
        direction = "minimize" if self._search.objective == "validation/loss" else "maximize"
        self._study = optuna.create_study(direction=direction)
        self._mirror = _new_mirror(mirror, _study_name(experiment, task, cell), direction)
        self._open: list[_Condition] = []
        self._num_trials = 0
        self._open_with(known)

    def refill(self) -> bool:
        for condition in [one for one in self._open if self._is_settled(one)]:
            self._open.remove(condition)
            self._tell(condition)
        while self._num_trials < self._search.trials and len(self._open) < self._at_once:
            self._ask()
        return bool(self._open) or self._num_trials < self._search.trials

    def _open_with(self, known: list[KnownVariant]) -> None:
        """Conditions of this study that the store knows: finished ones are told, others go on."""
        seen: set[str] = set()
        for variant in known:
            factors = {name: self._written(name, variant.recipe[name]) for name in self._space}
            if variant.key in seen or variant.task != self._task or not self._is_inside(factors):
                continue
            planned = self._plan(factors)
            keys = {one.key for one in planned}
            if variant.key in keys:
                seen |= keys
                self._add(_Condition(None, factors, planned))

    def _written(self, name: str, shown: Any) -> Any:
        """What may have been written for a factor that a record shows; any truncation leaves texts whole."""
        given = self._space[name]
        if name == "truncation" and shown == "whole" and isinstance(given, Choices):
            return given.choices[0]
        return shown

    def _is_inside(self, factors: Mapping[str, Any]) -> bool:
        return all(_is_inside(self._distributions[name], value) for name, value in factors.items())

    def _ask(self) -> None:
        # A sampler seeded by the number of the trial proposes the same again after a restart.
        self._study.sampler = optuna.samplers.TPESampler(
            seed=self._search.seed * 100_003 + self._num_trials,
            n_startup_trials=self._search.startup_trials,
            constant_liar=True,
        )
        trial = self._study.ask(self._distributions)
        self._add(_Condition(trial, dict(trial.params), self._plan(trial.params)))

    def _plan(self, factors: Mapping[str, Any]) -> tuple[PlannedVariant, ...]:
        recipe = make_recipe(self._experiment, self._cell | dict(factors))
        return self._planner([Variant(self._task, recipe, seed) for seed in self._experiment.seeds]).variants

    def _add(self, condition: _Condition) -> None:
        self._num_trials += 1
        self._open.append(condition)
        self._schedule.add(condition.variants)

    def _is_settled(self, condition: _Condition) -> bool:
        stages = (variant.stages["finetune"] for variant in condition.variants)
        settled = ("stored", "computed", "failed", "blocked", "stopped")
        return all(self._schedule.state(stage) in settled for stage in stages)

    def _tell(self, condition: _Condition) -> None:
        values = [self._value(variant) for variant in condition.variants]
        value = sum(values) / len(values) if values else math.nan
        states = {self._schedule.state(variant.stages["finetune"]) for variant in condition.variants}
        failed = not math.isfinite(value)
        if condition.trial is not None:
            state = TrialState.FAIL if failed else TrialState.COMPLETE
            self._study.tell(condition.trial, None if failed else value, state=state)
        elif not failed:
            self._study.add_trial(self._frozen(condition, value, TrialState.COMPLETE))
        if failed:
            shown = TrialState.FAIL
        else:
            shown = TrialState.PRUNED if "stopped" in states else TrialState.COMPLETE
        self._mirror.add_trial(self._frozen(condition, None if failed else value, shown))

    def _value(self, variant: PlannedVariant) -> float:
        """The objective of a finished variant, or the best it had reached when it was stopped."""
        stage, store = variant.stages["finetune"], self._schedule.store
        match self._schedule.state(stage):
            case "stored" | "computed":
                return store.record(stage)["metrics"].get(self._search.objective, math.nan)
            case "stopped":
                objective = self._search.objective
                values = [
                    point.value for point in read_curves(store.scratch(stage)) if point.metric == objective
                ]
                return (min if objective == "validation/loss" else max)(values, default=math.nan)
            case _:
                return math.nan

    def _frozen(self, condition: _Condition, value: float | None, state: TrialState) -> FrozenTrial:
        return create_trial(
            params=condition.factors,
            distributions=self._distributions,
            value=value,
            state=state,
            intermediate_values={0: value} if state == TrialState.PRUNED and value is not None else {},
            user_attrs={"condition": condition.variants[0].condition},
        )


def known_variants(store: Store) -> list[KnownVariant]:
    """Variants that the store has a result of, oldest first, by what their records say of themselves."""
    records = sorted(store.records("finetune"), key=lambda record: record["provenance"]["started"])
    found = [(record["key"], record["provenance"].get("variant")) for record in records]
    found += [(entry["key"], entry["variant"]) for entry in store.outcomes() if entry["outcome"] == "stopped"]
    return [KnownVariant(key, labels["task"], labels["recipe"]) for key, labels in found if labels]


def _distribution(name: str, given: Range | Choices) -> BaseDistribution:
    if isinstance(given, Choices):
        return CategoricalDistribution(given.choices)
    if Recipe.model_fields[name].annotation is float:
        return FloatDistribution(given.low, given.high, log=given.log)
    return IntDistribution(int(given.low), int(given.high), log=given.log)


def _is_inside(distribution: BaseDistribution, value: Any) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    return distribution._contains(distribution.to_internal_repr(value))


def _study_name(experiment: Experiment, task: str, cell: Mapping[str, Any]) -> str:
    shown = " ".join(f"{name}={value}" for name, value in cell.items())
    return " ".join(part for part in (experiment.experiment, task, shown) if part)


def _storage(store: Store) -> optuna.storages.BaseStorage:
    return optuna.storages.RDBStorage(storage_url(store))


def _new_mirror(storage: optuna.storages.BaseStorage, name: str, direction: str) -> optuna.Study:
    """An empty study of this name: what the store knows is written into it again."""
    if name in optuna.study.get_all_study_names(storage):
        optuna.delete_study(study_name=name, storage=storage)
    return optuna.create_study(study_name=name, storage=storage, direction=direction)
