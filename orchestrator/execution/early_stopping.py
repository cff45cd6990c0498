"""ASHA over the evaluations of the variants of each task (Li et al. 2020)."""

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from layerscope.orchestrator.experiment.experiment import EarlyStopping

METRIC = "best/validation/score"
NEVER = 1_000_000


def make_scheduler(early_stopping: EarlyStopping | None) -> TrialScheduler:
    """Stops variants whose best validation score so far falls behind at a rung; without settings, none.

    The score is the task's own metric, so each variant is compared with those of its own task.
    """
    if early_stopping is None:
        return FIFOScheduler()
    halving = partial(
        ASHAScheduler,
        time_attr="evaluations",
        metric=METRIC,
        mode="max",
        max_t=NEVER,
        grace_period=early_stopping.grace_period,
        reduction_factor=early_stopping.reduction_factor,
    )
    return OfEachTask(halving)


class OfEachTask(FIFOScheduler):
    """A scheduler for the trials of each task, made when its first one comes."""

    def __init__(self, make: Callable[[], TrialScheduler]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Ray leaves it without annotations
        self._by_task: defaultdict[str | None, TrialScheduler] = defaultdict(make)

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        self._of(trial).on_trial_add(tune_controller, trial)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        self._of(trial).on_trial_error(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        return self._of(trial).on_trial_result(tune_controller, trial, result)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        self._of(trial).on_trial_complete(tune_controller, trial, result)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        self._of(trial).on_trial_remove(tune_controller, trial)

    def _of(self, trial: Any) -> TrialScheduler:
        """What is trained for no task alone has no scores, and a scheduler of its own."""
        return self._by_task[trial.config["order"].labels.get("task")]
