"""The schedule as it is obvious: every event and every question goes through all stages."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from layerscope.orchestrator.execution.stage_states import StageState
from layerscope.orchestrator.planning.plan import START_ROLES, Plan, PlannedVariant, Stage, labels_of, merge
from layerscope.orchestrator.store.artifacts import Store

Listener = Callable[[dict[str, Any]], None]


class NaiveSchedule:
    """The stages of a plan that grows while a search proposes variants."""

    def __init__(self, store: Store, listener: Listener = lambda event: None, *, honour_stops: bool = False):
        self.store = store
        self.plan = Plan(())
        self._listener = listener
        self._honour_stops = honour_stops
        self._stages: dict[str, Stage] = {}
        self._state: dict[str, StageState] = {}
        self._reason: dict[str, str] = {}

    def add(self, variants: Iterable[PlannedVariant]) -> None:
        """Take in variants; those and the stages that are already known stay as they are."""
        known = {variant.key for variant in self.plan.variants}
        new = merge(variant for variant in variants if variant.key not in known)
        self.plan = Plan((*self.plan.variants, *new.variants))
        for key, stage in self.plan.stages().items():
            if key not in self._stages:
                self._stages[key] = stage
                self._state[key] = "stored" if self.store.has(stage) else "todo"
                self._remember_stop(stage)
        self._demand()

    def ready(self) -> list[Stage]:
        """Stages that can start now, in the order of the plan."""
        return [stage for stage in self._in_state("todo") if self._rests(stage)]

    def first_ready(self) -> Stage | None:
        return next(iter(self.ready()), None)

    @property
    def is_over(self) -> bool:
        """Whether nothing runs and nothing can start."""
        return not any(state in ("todo", "running") for state in self._state.values())

    def start(self, stage: Stage) -> None:
        """The stage has begun."""
        self._state[stage.key] = "running"
        self._tell("stage_started", stage)

    def finish(self, stage: Stage, metrics: Mapping[str, float]) -> None:
        """The stage's artifact is in the store."""
        self._state[stage.key] = "computed"
        self._tell("stage_finished", stage, metrics=dict(metrics))

    def fail(self, stage: Stage, reason: str) -> None:
        """The stage ended with an error; what rests on it is blocked."""
        self._end(stage, "failed", reason)

    def stop(self, stage: Stage, reason: str) -> None:
        """Early stopping ended the stage; its measures are not needed."""
        self._end(stage, "stopped", reason)

    def state(self, stage: Stage) -> StageState:
        """Where the stage stands."""
        return self._state[stage.key]

    def reason(self, stage: Stage) -> str:
        """Why it failed, was stopped or is blocked."""
        return self._reason.get(stage.key, "")

    def counts(self) -> dict[StageState, int]:
        """Number of stages in each state."""
        counts: dict[StageState, int] = {}
        for state in self._state.values():
            counts[state] = counts.get(state, 0) + 1
        return counts

    def labels(self, stage: Stage) -> dict[str, Any]:
        """Task, seed and recipe of the variant that a finetune stage computes; empty for other kinds."""
        return next((labels_of(one) for one in self.plan.variants if one.key == stage.key), {})

    def running(self) -> list[Stage]:
        """Stages being computed."""
        return self._in_state("running")

    def _in_state(self, state: StageState) -> list[Stage]:
        return [stage for key, stage in self._stages.items() if self._state[key] == state]

    def _rests(self, stage: Stage) -> bool:
        return all(self._state[parent.key] in ("stored", "computed") for parent in stage.parents.values())

    def _end(self, stage: Stage, outcome: Literal["failed", "stopped"], reason: str) -> None:
        self._state[stage.key], self._reason[stage.key] = outcome, reason
        self.store.set_outcome(stage, outcome, reason, variant=self.labels(stage))
        self._tell(f"stage_{outcome}", stage, reason=reason)
        self._demand()

    def _remember_stop(self, stage: Stage) -> None:
        ended = self.store.outcome(stage)
        if self._honour_stops and self._state[stage.key] == "todo" and ended and ended[0] == "stopped":
            self._state[stage.key], self._reason[stage.key] = "stopped", ended[1]

    def _demand(self) -> None:
        """Of what is not stored, only what a variant's result still rests on is to be done."""
        for stage in self._stages.values():
            self._inherit(stage)
        needed: set[str] = set()
        for variant in self.plan.variants:
            for role, stage in variant.stages.items():
                if role not in START_ROLES:
                    self._collect(stage, needed)
        for key, state in self._state.items():
            if state in ("todo", "unneeded"):
                self._state[key] = "todo" if key in needed else "unneeded"

    def _inherit(self, stage: Stage) -> None:
        """A stage whose parent failed or was stopped does not run; parents come first in the order."""
        if self._state[stage.key] not in ("todo", "unneeded"):
            return
        for parent in stage.parents.values():
            match self._state[parent.key]:
                case "failed":
                    self._state[stage.key] = "blocked"
                    self._reason[stage.key] = f"{parent.kind} {parent.key} failed"
                case "blocked":
                    self._state[stage.key] = "blocked"
                    self._reason[stage.key] = self._reason[parent.key]
                case "stopped":
                    self._state[stage.key] = "stopped"
                    self._reason[stage.key] = f"{parent.kind} {parent.key} was stopped early"

    def _collect(self, stage: Stage, needed: set[str]) -> None:
        if stage.key in needed or self._state[stage.key] in ("stored", "computed", "stopped", "blocked"):
            return
        needed.add(stage.key)
        for parent in stage.parents.values():
            self._collect(parent, needed)

    def _tell(self, event: str, stage: Stage, **details: Any) -> None:
        self._listener({"event": event, "kind": stage.kind, "key": stage.key, **details})
