"""Computes one stage in the process it is called in, and puts the artifact into the store."""

import contextlib
import importlib
import os
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from layerscope.jobs.artifacts.curves import forget_curves
from layerscope.jobs.context import LOG, StageContext
from layerscope.jobs.measures import curves_of, module_of
from layerscope.orchestrator.errors import StageFailed, WorkerLost
from layerscope.orchestrator.planning.plan import TRAINED_KINDS, Stage
from layerscope.orchestrator.store.artifacts import Store
from layerscope.orchestrator.store.provenance import provenance


def compute(
    stage: Stage,
    store: Store,
    *,
    device: str = "cpu",
    labels: Mapping[str, Any] | None = None,
    micro_batch_size: int | None = None,
) -> dict[str, float]:
    """Run a stage in one process, and commit it; returns its summary metrics.

    Args:
        labels: What the record of a finetune stage says of its variant.

    Raises:
        StageFailed: the stage raised; the message ends with the path of its log.
    """
    started = time.time()
    with reporting_failure(stage, store), store.writing(stage) as aside:
        context = make_context(stage, store, aside, device=device)
        if stage.kind in TRAINED_KINDS:
            from layerscope.jobs.processes import alone

            context.accelerator = alone(use_gpu=device != "cpu")
            context.micro_batch_size = micro_batch_size
        else:
            forget_curves(context.scratch)
        run = importlib.import_module(module_of(stage.kind)).run
        metrics: dict[str, float] = run(stage.spec, context)
        seconds = time.time() - started
        origin = provenance(started=started, seconds=seconds, device=device)
        origin |= {"variant": dict(labels)} if labels else {}
        store.commit(stage, aside, metrics=metrics, provenance=origin)
    return metrics


def make_context(
    stage: Stage, store: Store, aside: Path, *, device: str = "cpu", is_main: bool = True
) -> StageContext:
    """What the stage is given, with its inputs looked up in the store."""
    return StageContext(
        inputs=store.inputs(stage),
        out=aside,
        scratch=store.scratch(stage),
        device=device,
        is_main=is_main,
        limits=stage.limits,
        curves=curves_of(stage.kind),
    )


@contextlib.contextmanager
def reporting_failure(stage: Stage, store: Store) -> Iterator[None]:
    """Turn whatever the stage raises into a `StageFailed` of one message, with the traceback in the log."""
    log = store.scratch_path(stage) / LOG
    try:
        yield
    except (StageFailed, WorkerLost):
        raise
    except Exception as error:
        with contextlib.suppress(OSError), log.open("a", encoding="utf-8") as file:
            traceback.print_exc(file=file)
        raise StageFailed(f"{type(error).__name__}: {error} (log: {log})") from None


def reason_of(error: StageFailed) -> str:
    """The one message of an error that may have crossed a process border."""
    return str(getattr(error, "cause", None) or error)


def first_line(error: object) -> str:
    """What an error, or its text, says first; never nothing."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason is known")


def lost(num_times: int, last: str) -> str:
    """Why a stage failed of which a worker was lost too often; `last` is the reason of the last time."""
    times = "once" if num_times == 1 else f"{num_times} times"
    return f"a worker of it was lost {times}; the last time: {last}"


def send_output_to(path: Path) -> None:
    """From now on, what this process prints goes to the end of a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
