"""Which stages are stored, ready, running or failed: a policy that decides, while an executor acts.

Each event costs what it changes: a run of thousands of variants has tens of thousands of events.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from heapq import heapify, heappop, heappush
from typing import Any, Literal, assert_never

from layerscope.orchestrator.execution.stage_states import IN_STORE, StageState, StageStates, parent_keys
from layerscope.orchestrator.planning.plan import START_ROLES, Plan, PlannedVariant, Stage, labels_of, merge
from layerscope.orchestrator.store.artifacts import Store

Listener = Callable[[dict[str, Any]], None]

WAITING = ("todo", "unneeded")
SETTLED = (*IN_STORE, "stopped", "blocked")
"""States of stages that need their parents no more."""


class Schedule:
    """The stages of a plan that grows while a search proposes variants."""

    def __init__(self, store: Store, listener: Listener = lambda event: None, *, honour_stops: bool = False):
        self.store = store
        self.plan = Plan(())
        self._listener = listener
        self._honour_stops = honour_stops
        self._variants: dict[str, PlannedVariant] = {}
        self._stages = StageStates()
        self._reason: dict[str, str] = {}
        self._num_needing: dict[str, int] = {}
        """How many needed stages rest on each, and one more where a variant's result is it."""
        self._needing: set[str] = set()
        """Stages that are needed and need their parents."""
        self._results: set[str] = set()
        """Stages that a variant's result rests on by themselves."""

    def add(self, variants: Iterable[PlannedVariant]) -> None:
        """Take in variants; those and the stages that are already known stay as they are."""
        new = merge(variant for variant in variants if variant.key not in self._variants)
        self.plan = Plan((*self.plan.variants, *new.variants))
        self._variants |= {variant.key: variant for variant in new.variants}
        for key, stage in new.stages().items():
            if key not in self._stages:
                self._take_in(stage)
        for variant in new.variants:
            for role, stage in variant.stages.items():
                if role not in START_ROLES and stage.key not in self._results:
                    self._results.add(stage.key)
                    self._need(stage.key, 1)

    def ready(self, *, besides: Collection[str] = ()) -> list[Stage]:
        """Stages that can start now but those of some kinds, in the order of the plan."""
        return self._stages.ready(besides=besides)

    def first_ready(self, kind: str | None = None) -> Stage | None:
        """The first of the stages that can start now, of a kind or of all."""
        return self._stages.first_ready(kind)

    @property
    def is_over(self) -> bool:
        """Whether nothing runs and nothing can start."""
        return not {"todo", "running"} & self.counts().keys()

    def start(self, stage: Stage) -> None:
        """The stage has begun."""
        self._stages.put(stage.key, "running")
        self._tell("stage_started", stage)

    def start_again(self, stage: Stage) -> None:
        """What computed the stage was lost, and it is to be done again."""
        self._stages.put(stage.key, "todo")

    def finish(self, stage: Stage, metrics: Mapping[str, float]) -> None:
        """The stage's artifact is in the store."""
        self._put(stage.key, "computed")
        self._tell("stage_finished", stage, metrics=dict(metrics))

    def fail(self, stage: Stage, reason: str) -> None:
        """The stage ended with an error; what rests on it is blocked."""
        self._end(stage, "failed", reason)

    def stop(self, stage: Stage, reason: str) -> None:
        """Early stopping ended the stage; its measures are not needed."""
        self._end(stage, "stopped", reason)

    def stage(self, key: str) -> Stage:
        """The stage of a key."""
        return self._stages.stage(key)

    def variant(self, key: str) -> PlannedVariant | None:
        """The variant whose own training has the key; none for other stages."""
        return self._variants.get(key)

    def state(self, stage: Stage) -> StageState:
        """The state of the stage."""
        return self._stages.state(stage.key)

    def reason(self, stage: Stage) -> str:
        """Why it failed, was stopped or is blocked."""
        return self._reason.get(stage.key, "")

    def counts(self) -> dict[StageState, int]:
        """Number of stages in each state."""
        return self._stages.counts()

    def labels(self, stage: Stage) -> dict[str, Any]:
        """Task, seed and recipe of the variant that a finetune stage computes; empty for other kinds."""
        variant = self.variant(stage.key)
        return labels_of(variant) if variant else {}

    def num_running(self, kinds: Iterable[str]) -> int:
        """Stages of some kinds that are being computed."""
        return self._stages.count("running", kinds)

    def num_waiting(self, kinds: Iterable[str]) -> int:
        """Stages of some kinds that are still to be done."""
        return self._stages.count("todo", kinds)

    def _take_in(self, stage: Stage) -> None:
        self._num_needing[stage.key] = 0
        self._stages.add(stage, "stored" if self.store.has(stage) else "unneeded")
        self._remember_stop(stage)
        self._inherit(stage)

    def _end(self, stage: Stage, outcome: Literal["failed", "stopped"], reason: str) -> None:
        self._reason[stage.key] = reason
        self._put(stage.key, outcome)
        self.store.set_outcome(stage, outcome, reason, variant=self.labels(stage))
        self._tell(f"stage_{outcome}", stage, reason=reason)
        self._pass_on(stage)

    def _remember_stop(self, stage: Stage) -> None:
        if not self._honour_stops or self.state(stage) != "unneeded":
            return
        ended = self.store.outcome(stage)
        if ended and ended[0] == "stopped":
            self._reason[stage.key] = ended[1]
            self._put(stage.key, "stopped")

    def _put(self, key: str, state: StageState) -> None:
        """Give a stage another state; of what it needed, what nothing else needs becomes unneeded."""
        self._stages.put(key, state)
        self._review(key)

    def _need(self, key: str, change: int) -> None:
        self._num_needing[key] += change
        self._review(key)

    def _review(self, key: str) -> None:
        """Whether the stage is to be done, and its parents for its sake."""
        state, is_needed = self._stages.state(key), self._num_needing[key] > 0
        if state in WAITING:
            self._stages.put(key, "todo" if is_needed else "unneeded")
        needs_parents = is_needed and state not in SETTLED
        if needs_parents == (key in self._needing):
            return
        (self._needing.add if needs_parents else self._needing.remove)(key)
        for parent in parent_keys(self._stages.stage(key)):
            self._need(parent, 1 if needs_parents else -1)

    def _pass_on(self, stage: Stage) -> None:
        """What depends on a stage that failed or was stopped does not run; parents come first."""
        following = [self._stages.position(key) for key in self._stages.children(stage.key)]
        heapify(following)
        while following:
            child = self._stages.at(heappop(following))
            if self._inherit(child):
                for key in self._stages.children(child.key):
                    heappush(following, self._stages.position(key))

    def _inherit(self, stage: Stage) -> bool:
        """Whether the stage does not run since a parent failed or was stopped."""
        if self.state(stage) not in WAITING:
            return False
        state: StageState = self.state(stage)
        for parent in stage.parents.values():
            match self.state(parent):
                case "failed":
                    state, reason = "blocked", f"{parent.kind} {parent.key} failed"
                case "blocked":
                    state, reason = "blocked", self._reason[parent.key]
                case "stopped":
                    state, reason = "stopped", f"{parent.kind} {parent.key} was stopped early"
                case "stored" | "todo" | "running" | "computed" | "unneeded":
                    pass
                case never:
                    assert_never(never)
        if state in WAITING:
            return False
        self._reason[stage.key] = reason
        self._put(stage.key, state)
        return True

    def _tell(self, event: str, stage: Stage, **details: Any) -> None:
        self._listener({"event": event, "kind": stage.kind, "key": stage.key, **details})
