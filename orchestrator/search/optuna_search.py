"""Optuna proposes conditions; the store is its memory.

One study for each task and grid cell. A trial is a condition: its value is the mean of the objective over
the seeds. Every proposal comes from a study built anew of the conditions so far, those found in the store
first, so that a restart goes on as if nothing had happened. Finished trials are mirrored to an Optuna storage
in the store, which optuna-dashboard reads.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from layerscope.jobs.artifacts.curves import read_curves
from layerscope.jobs.specs.targets import LOSS
from layerscope.orchestrator.execution.scheduler import Schedule
from layerscope.orchestrator.experiment.experiment import Experiment
from layerscope.orchestrator.planning.plan import VARIANT_KINDS, PlannedVariant
from layerscope.orchestrator.search.cells import Cell, KnownVariant, Planner, cells_of, keys_of
from layerscope.orchestrator.search.untried import MOST_DRAWS, combinations
from layerscope.orchestrator.store.artifacts import Store
from layerscope.orchestrator.store.databases import ensure_database

Direction = Literal["minimize", "maximize"]

STORAGE = "optuna.db"
MOST_ATTEMPTS = 20
"""Consecutive proposals of Optuna that were already tried, after which untried conditions are sampled."""


def storage_url(store: Store) -> str:
    """Where the studies are mirrored; `optuna-dashboard URL` opens it."""
    return f"sqlite:///{store.root / STORAGE}"


@dataclass
class _Condition:
    """What one trial computes."""

    factors: Mapping[str, Any]
    """In the spelling of `Cell.factors_of`, so that two spellings of one recipe are one condition."""
    variants: tuple[PlannedVariant, ...]
    """One for each seed."""
    state: TrialState = TrialState.RUNNING
    value: float | None = None
    """Mean of the objective over the seeds; nothing while it runs, or where a seed has none."""


class OptunaSearch:
    """Adds proposed variants to a schedule until every study has its trials, or has used up its space."""

    def __init__(
        self,
        experiment: Experiment,
        schedule: Schedule,
        planner: Planner,
        *,
        at_once: int,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """With so many conditions open at once; what ends a study before its trials is said once."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        known = _known_variants(schedule.store)
        ensure_database(schedule.store.root / STORAGE, _make_storage)
        mirror = optuna.storages.RDBStorage(storage_url(schedule.store))
        self._studies = []
        for cell in cells_of(experiment, planner):
            of_cell = _new_mirror(mirror, f"{experiment.experiment} {cell.name}", direction_of(cell))
            self._studies.append(_Study(cell, schedule, of_cell, known, at_once=at_once, say=say))

    def refill(self) -> bool:
        """Learn from finished conditions, propose new ones; whether more may come."""
        return any([study.refill() for study in self._studies])


def stored_variants(experiment: Experiment, planner: Planner, store: Store) -> list[PlannedVariant]:
    """Variants of the conditions that a search has tried already, oldest first."""
    known = _known_variants(store)
    return [
        variant
        for cell in cells_of(experiment, planner)
        for variants in cell.conditions(known)
        for variant in variants
    ]


def direction_of(cell: Cell) -> Direction:
    """In which the objective improves, as Optuna says it."""
    return "minimize" if cell.objective == f"validation/{LOSS.name}" else "maximize"


class _Study:
    def __init__(
        self,
        cell: Cell,
        schedule: Schedule,
        mirror: optuna.Study,
        known: Sequence[KnownVariant],
        *,
        at_once: int,
        say: Callable[[str], None],
    ) -> None:
        self._cell, self._schedule, self._mirror = cell, schedule, mirror
        self._at_once, self._say = at_once, say
        self._conditions: list[_Condition] = []
        self._tried: set[frozenset[str]] = set()
        self._is_exhausted = False
        for variants in cell.conditions(known):
            self._add(variants)

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
        variants = self._sampled() or self._untried()
        if variants is None:
            self._is_exhausted = True
            self._say(self._why_exhausted())
        else:
            self._add(variants)

    def _sampled(self) -> tuple[PlannedVariant, ...] | None:
        """A new condition that Optuna proposes; None where it only comes back to those it knows."""
        for attempt in range(MOST_ATTEMPTS):
            variants = self._cell.variants(self._proposal(attempt))
            if keys_of(variants) not in self._tried:
                return variants
        return None

    def _untried(self) -> tuple[PlannedVariant, ...] | None:
        """An untried condition sampled with the number of the trial as seed, without Optuna."""
        seed = f"{self._cell.search.seed} {len(self._conditions)}"
        for factors in combinations(self._cell.distributions, seed=seed):
            variants = self._cell.variants(factors)
            if keys_of(variants) not in self._tried:
                return variants
        return None

    def _why_exhausted(self) -> str:
        progress = self._cell.progress(one for each in self._conditions for one in each.variants)
        if progress.is_used_up:
            return progress.sentence()
        return f"{progress.sentence()} {MOST_DRAWS:,} draws from its space brought nothing new."

    def _proposal(self, attempt: int) -> dict[str, Any]:
        """What Optuna proposes after the conditions so far; the same again after a restart."""
        search = self._cell.search
        seeds = np.random.SeedSequence([search.seed, len(self._conditions), attempt])
        sampler = optuna.samplers.TPESampler(
            seed=int(seeds.generate_state(1)[0]),
            n_startup_trials=search.startup_trials,
            constant_liar=True,
        )
        study = optuna.create_study(direction=direction_of(self._cell), sampler=sampler)
        study.add_trials([self._trial(condition, condition.state) for condition in self._conditions])
        return study.ask(self._cell.distributions).params

    def _add(self, variants: tuple[PlannedVariant, ...]) -> None:
        self._conditions.append(_Condition(self._cell.factors_of(variants[0].recipe), variants))
        self._tried.add(keys_of(variants))
        self._schedule.add(variants)

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
        stage, store, objective = variant.stages["finetune"], self._schedule.store, self._cell.objective
        match self._schedule.state(stage):
            case "stored" | "computed":
                return float(store.record(stage)["metrics"].get(objective, math.nan))
            case "stopped":
                points = read_curves(store.scratch_path(stage))
                values = [one.value for one in points if one.metric == objective and math.isfinite(one.value)]
                best = min if direction_of(self._cell) == "minimize" else max
                return best(values, default=math.nan)
            case _:
                return math.nan

    def _trial(self, condition: _Condition, state: TrialState) -> FrozenTrial:
        reached = condition.value if state == TrialState.PRUNED else None
        return create_trial(
            params=dict(condition.factors),
            distributions=self._cell.distributions,
            value=condition.value,
            state=state,
            intermediate_values={} if reached is None else {0: reached},
            user_attrs={"condition": condition.variants[0].condition},
        )


def _known_variants(store: Store) -> list[KnownVariant]:
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
    return [KnownVariant(key, labels["task"], labels["recipe"]) for _, key, labels in found]


def _make_storage(path: Path) -> None:
    """Open Optuna's database, which makes its tables."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    storage.get_all_studies()
    storage.engine.dispose()


def _new_mirror(storage: optuna.storages.BaseStorage, name: str, direction: Direction) -> optuna.Study:
    """An empty study of this name: what the store knows is written into it again."""
    if name in optuna.study.get_all_study_names(storage):
        optuna.delete_study(study_name=name, storage=storage)
    return optuna.create_study(study_name=name, storage=storage, direction=direction)
