"""Hands Ray Tune a training when its parents are in the store, and not before."""

from collections.abc import Callable, Mapping
from typing import Any

from ray.tune.search import Searcher

from layerscope.orchestrator.execution.scheduler import Schedule
from layerscope.orchestrator.planning.plan import TRAINED_KINDS, Stage


class TuneSearcher(Searcher):
    """Trainings whose artifact is missing; pretrainings first, since variants wait for them."""

    def __init__(
        self,
        schedule: Schedule,
        refill: Callable[[], bool],
        describe: Callable[[Stage], Mapping[str, Any]],
        *,
        max_concurrent: int,
    ) -> None:
        super().__init__(metric=None, mode=None)
        self._schedule, self._refill, self._describe = schedule, refill, describe
        self._max_concurrent = max_concurrent

    def has_work(self) -> bool:
        """Whether any training is, or may come to be, to do."""
        return self._refill() or self._schedule.num_waiting(TRAINED_KINDS) > 0

    # Tune takes the word that it has for the end, though its annotation lacks it.
    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """The next training, `None` while all wait for their parents, or `Searcher.FINISHED`."""
        self._refill()
        if self._schedule.num_running(TRAINED_KINDS) >= self._max_concurrent:
            return None
        stage = next(filter(None, map(self._schedule.first_ready, TRAINED_KINDS)), None)
        if stage is not None:
            self._schedule.start(stage)
            return dict(self._describe(stage))
        return None if self.has_work() else Searcher.FINISHED

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing to learn here: proposals learn from the store."""

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its searcher for `Tuner.restore`, which is not used."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: running the same command again is resuming."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""
