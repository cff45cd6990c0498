"""Runs trainings one after another in a gang of two real processes that stay together for all tests."""

import contextlib
import multiprocessing
import socket
import traceback
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Literal

import torch
from accelerate import Accelerator
from torch.nn.modules.module import register_module_forward_pre_hook

from layerscope.jobs import finetune, pretrain
from layerscope.jobs.context import StageContext
from layerscope.jobs.encoders.heads import Classifier
from layerscope.jobs.encoders.pretraining_losses import PretrainingLosses
from layerscope.jobs.encoders.shared_heads import SharedEncoder
from layerscope.jobs.processes import Place, join, release
from layerscope.jobs.specs.spec import Spec
from layerscope.jobs.specs.stages import FinetuneSpec, PretrainSpec

METRICS, WEIGHTS = "metrics.pt", "weights.pt"
NUM_PROCESSES = 2


@dataclass(frozen=True)
class Case:
    """One training, and what is done to it."""

    spec: Spec
    inputs: dict[str, Path]
    harm: Literal["none", "spoil", "interrupt", "crowd"] = "none"
    """`spoil` the weights of both processes once something is learnt, `interrupt` after the first evaluation
    and resume, or `crowd` the second process, which then has room for one example only."""
    micro_batch_size: int | None = None


def train_together(cases: dict[str, Case], folder: Path) -> None:
    """Leaves `<folder>/<case>/out`, and beside it each rank's metrics and, of a fine-tuning, weights."""
    if not _gang:
        _gang.extend(_started())
    for _, connection in _gang:
        connection.send((cases, folder))
    waiting = [connection for _, connection in _gang]
    while waiting:
        for connection in wait(waiting):
            if fault := _answer(connection):
                _end()
                raise RuntimeError(fault)
            waiting.remove(connection)


_gang: list[tuple[multiprocessing.Process, Connection]] = []
"""Starting processes takes as long as many trainings: they serve all modules of tests."""


def _started() -> list[tuple[multiprocessing.Process, Connection]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context, gang = multiprocessing.get_context("spawn"), []
    for rank in range(NUM_PROCESSES):
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(rank, port, theirs), daemon=True)
        process.start()
        theirs.close()
        gang.append((process, ours))
    return gang


def _answer(connection: Connection) -> str:
    """What went wrong in a process; empty where nothing did."""
    try:
        return connection.recv()
    except EOFError:
        return "a process of the gang died"


def _end() -> None:
    """The other process may wait for the one that failed: the next trainings get new ones."""
    while _gang:
        process, connection = _gang.pop()
        process.kill()
        process.join()
        connection.close()


def _serve(rank: int, port: int, connection: Connection) -> None:
    torch.set_num_threads(1)
    accelerator = join(Place(rank, NUM_PROCESSES, "127.0.0.1", port), use_gpu=False)
    while True:
        try:
            _train_all(rank, *connection.recv(), accelerator)
            connection.send("")
        except EOFError:  # The tests are over.
            return
        except Exception:
            connection.send(traceback.format_exc())


def _train_all(rank: int, cases: dict[str, Case], folder: Path, accelerator: Accelerator) -> None:
    for name, case in cases.items():
        out, scratch, own = (folder / name / part for part in ("out", "scratch", str(rank)))
        for place in (out, scratch, own):
            place.mkdir(parents=True, exist_ok=True)
        context = StageContext(
            inputs=case.inputs,
            out=out,
            scratch=scratch,
            is_main=rank == 0,
            accelerator=accelerator,
            micro_batch_size=case.micro_batch_size,
        )
        with _crowded() if case.harm == "crowd" and rank else contextlib.nullcontext():
            metrics = _train(case, context, own)
        torch.save(metrics, own / METRICS)
        release(accelerator)
        accelerator.wait_for_everyone()


def _train(case: Case, context: StageContext, own: Path) -> dict[str, float]:
    if isinstance(case.spec, PretrainSpec):
        return _pretrain(case, context)
    if not isinstance(case.spec, FinetuneSpec):
        return _train_otherwise(case, context)
    metrics, weights = _finetune(case, context)
    torch.save(weights, own / WEIGHTS)
    return metrics


def _train_otherwise(case: Case, context: StageContext) -> dict[str, float]:
    module = import_module(f"layerscope.jobs.{case.spec.kind}")
    if case.harm == "interrupt":
        training = module.begin(case.spec, context)
        training.advance()
        training.save()
        training.advance()
        release(context.accelerator)
    return module.run(case.spec, context)


def _pretrain(case: Case, context: StageContext) -> dict[str, float]:
    training = pretrain.begin(case.spec, context)
    if case.harm == "interrupt":
        for _ in range(3):
            training.advance()
        training.save()
        training.advance()
        release(context.accelerator)
        training = pretrain.begin(case.spec, context)
    while not training.is_over:
        training.advance()
    return training.finish()


def _finetune(case: Case, context: StageContext) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    training = finetune.begin(case.spec, context)
    if case.harm == "spoil":
        while training.advance()["validation/accuracy"] < 0.6:
            pass
        with torch.no_grad():
            training.model.head.weight.fill_(torch.nan)
    if case.harm == "interrupt":
        training.advance()
        training.save()
        release(context.accelerator)
        training = finetune.begin(case.spec, context)
    while not training.is_over:
        training.advance()
    return training.finish(), training.model.state_dict()


def _crowded() -> contextlib.AbstractContextManager:
    """While it lasts there is room to train on one example at a time."""
    return register_module_forward_pre_hook(_run_out_of_memory)


def _run_out_of_memory(model: torch.nn.Module, inputs: tuple) -> None:
    if not model.training or not isinstance(model, Classifier | SharedEncoder | PretrainingLosses):
        return
    examples = inputs[0]["input_ids"] if isinstance(model, PretrainingLosses) else inputs[0]
    if len(examples) > 1:
        raise torch.OutOfMemoryError("no room")
