"""Runs every stage in this process, one after the other: for tests, debuggers and tiny runs."""

from collections.abc import Callable

from orchestrator.errors import StageFailed
from orchestrator.execution.worker import LOG, compute, output_sent_to
from orchestrator.search.schedule import Schedule


def run_serially(schedule: Schedule, refill: Callable[[], bool] = lambda: False) -> None:
    """Work until nothing can start; `refill` adds proposed variants and says whether more may come.

    Every variant runs to its end: early stopping needs others beside it.
    """
    while True:
        more = refill()
        ready = schedule.ready()
        if not ready:
            if more:
                continue
            return
        stage = ready[0]
        schedule.start(stage)
        try:
            with output_sent_to(schedule.store.scratch(stage) / LOG):
                metrics = compute(stage, schedule.store, labels=schedule.labels(stage))
        except StageFailed as error:
            schedule.fail(stage, str(error))
        else:
            schedule.finish(stage, metrics)
