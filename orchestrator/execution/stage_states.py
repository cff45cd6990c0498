"""Where each stage of a schedule is, kept so that a change or a question costs no walk through all stages."""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Literal

from layerscope.orchestrator.planning.plan import Stage

StageState = Literal["stored", "todo", "running", "computed", "failed", "blocked", "stopped", "unneeded"]

IN_STORE = ("stored", "computed")


class StageStates:
    """Stages with their states, in the order in which they came: parents before children."""

    def __init__(self) -> None:
        self._stages: list[Stage] = []
        self._position: dict[str, int] = {}
        self._state: dict[str, StageState] = {}
        self._children: dict[str, list[str]] = defaultdict(list)
        self._num_missing: dict[str, int] = {}
        """Of a stage's parents, those that are not in the store."""
        self._ready: dict[str, list[int]] = {}
        """By kind, the positions of the stages that can start, ascending."""
        self._keys: dict[StageState, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        """By state and kind."""

    def __contains__(self, key: str) -> bool:
        return key in self._position

    def add(self, stage: Stage, state: StageState) -> None:
        """Take in a stage, whose parents are known."""
        key = stage.key
        self._position[key] = len(self._stages)
        self._stages.append(stage)
        for parent in parent_keys(stage):
            self._children[parent].append(key)
        self._num_missing[key] = sum(self._state[one] not in IN_STORE for one in parent_keys(stage))
        self._state[key] = state
        self._keys[state][stage.kind].add(key)
        self._mark(key)

    def put(self, key: str, state: StageState) -> None:
        """Give a stage another state."""
        before, kind = self._state[key], self.stage(key).kind
        self._keys[before][kind].discard(key)
        self._keys[state][kind].add(key)
        self._state[key] = state
        self._mark(key)
        if change := (before in IN_STORE) - (state in IN_STORE):
            for child in self._children[key]:
                self._num_missing[child] += change
                self._mark(child)

    def stage(self, key: str) -> Stage:
        """The stage of a key."""
        return self._stages[self._position[key]]

    def at(self, position: int) -> Stage:
        """The stage at a place in the order."""
        return self._stages[position]

    def state(self, key: str) -> StageState:
        """Where the stage is."""
        return self._state[key]

    def position(self, key: str) -> int:
        """Its place in the order."""
        return self._position[key]

    def children(self, key: str) -> Iterable[str]:
        """Keys of the stages that it is a parent of."""
        return tuple(self._children[key])

    def counts(self) -> dict[StageState, int]:
        """Number of stages in each state that there is."""
        counts = {state: sum(map(len, by_kind.values())) for state, by_kind in self._keys.items()}
        return {state: number for state, number in counts.items() if number}

    def count(self, state: StageState, kinds: Iterable[str]) -> int:
        """Number of stages of some kinds in a state."""
        return sum(len(self._keys[state][kind]) for kind in kinds)

    def ready(self, *, besides: Collection[str] = ()) -> list[Stage]:
        """The stages that can start, but those of some kinds, in order."""
        found = [positions for kind, positions in self._ready.items() if kind not in besides]
        return self._in_order(position for positions in found for position in positions)

    def first_ready(self, kind: str | None = None) -> Stage | None:
        """The first stage that can start, of a kind or of all."""
        ready = self._ready.values() if kind is None else [self._ready.get(kind, [])]
        first = min((positions[0] for positions in ready if positions), default=None)
        return None if first is None else self._stages[first]

    def _in_order(self, positions: Iterable[int]) -> list[Stage]:
        return [self._stages[position] for position in sorted(positions)]

    def _mark(self, key: str) -> None:
        """Note whether the stage can start."""
        position = self._position[key]
        ready = self._ready.setdefault(self._stages[position].kind, [])
        place = bisect_left(ready, position)
        is_noted = place < len(ready) and ready[place] == position
        is_ready = self._state[key] == "todo" and not self._num_missing[key]
        if is_ready and not is_noted:
            insort(ready, position)
        elif is_noted and not is_ready:
            del ready[place]


def parent_keys(stage: Stage) -> set[str]:
    """Keys of the parents, each once."""
    return {parent.key for parent in stage.parents.values()}
