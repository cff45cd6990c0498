"""Runs every stage in this process, one after the other: for tests, debuggers and tiny runs."""

import os
from collections.abc import Callable

from orchestrator.errors import StageFailed
from orchestrator.execution.worker import compute
from orchestrator.search.schedule import Schedule

QUIET = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error"}
"""A worker's output goes to the log of its stage; here it would stand between the lines of the run."""


def run_serially(
    schedule: Schedule, refill: Callable[[], bool] = lambda: False, *, micro_batch_size: int | None = None
) -> None:
    """Work until nothing can start; `refill` adds proposed variants and says whether more may come.

    Every variant runs to its end: early stopping needs others beside it.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
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
            metrics = compute(
                stage, schedule.store, labels=schedule.labels(stage), micro_batch_size=micro_batch_size
            )
        except StageFailed as error:
            schedule.fail(stage, str(error))
        else:
            schedule.finish(stage, metrics)
