"""Runs every stage in this process, one after the other: for tests, debuggers and tiny runs."""

import os
from collections.abc import Callable

from layerscope.orchestrator.errors import StageFailed
from layerscope.orchestrator.execution.scheduler import Schedule
from layerscope.orchestrator.execution.worker import compute


def run_serially(
    schedule: Schedule, refill: Callable[[], bool] = lambda: False, *, micro_batch_size: int | None = None
) -> None:
    """Work until nothing can start; `refill` adds proposed variants and says whether more may come.

    Every variant runs to its end: early stopping needs others beside it.
    """
    quieten()
    while True:
        more = refill()
        stage = schedule.first_ready()
        if stage is None:
            if more:
                continue
            return
        schedule.start(stage)
        try:
            metrics = compute(
                stage, schedule.store, labels=schedule.labels(stage), micro_batch_size=micro_batch_size
            )
        except StageFailed as error:
            schedule.fail(stage, str(error))
        else:
            schedule.finish(stage, metrics)


def quieten() -> None:
    """A worker's output goes to the log of its stage; here it would stand between the lines of the run.

    transformers asks the Hub's library, which planning has imported by now: too late for its variable.
    """
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
