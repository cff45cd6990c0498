"""The processes of one training: a gang of N that average their gradients, or one alone."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs

RENDEZVOUS_TIMEOUT = timedelta(minutes=10)

Row = TypeVar("Row")


@dataclass(frozen=True)
class Place:
    """Rank of a process in its gang."""

    rank: int
    num_processes: int
    address: str
    port: int


def join(place: Place, *, use_gpu: bool) -> Accelerator:
    """Connect to the other processes of the gang (NCCL on GPUs, gloo otherwise); blocks until all join."""
    os.environ |= {
        "RANK": str(place.rank),
        "LOCAL_RANK": "0",
        "WORLD_SIZE": str(place.num_processes),
        "LOCAL_WORLD_SIZE": "1",
        "MASTER_ADDR": place.address,
        "MASTER_PORT": str(place.port),
        "ACCELERATE_USE_CPU": str(not use_gpu).lower(),
    }
    if place.num_processes > 1 and not torch.distributed.is_initialized():
        backend = "nccl" if use_gpu else "gloo"
        torch.distributed.init_process_group(
            backend, rank=place.rank, world_size=place.num_processes, timeout=RENDEZVOUS_TIMEOUT
        )
    # Buffers (of positions) never change; to send them would be an exchange in the midst of a forward pass,
    # which a process that is out of memory never gets to.
    parallel = DistributedDataParallelKwargs(broadcast_buffers=False)
    return Accelerator(cpu=not use_gpu, kwargs_handlers=[parallel])


def alone(*, use_gpu: bool = False) -> Accelerator:
    """One process that trains by itself.

    The device of a process is one for all its accelerators, and is the one last requested.
    """
    if (PartialState(cpu=not use_gpu).device.type != "cpu") != use_gpu:
        # accelerate keeps the device of the first accelerator, whatever a later one asks for.
        AcceleratorState._reset_state(reset_partial_state=True)
    return Accelerator(cpu=not use_gpu)


def share(rows: Sequence[Row], accelerator: Accelerator) -> Sequence[Row]:
    """This process's part of the rows, which have the same order on all processes; it may be empty."""
    return rows[accelerator.process_index :: accelerator.num_processes]


def release(accelerator: Accelerator) -> None:
    """Forget model, optimiser and data of a finished training; the processes stay together for the next."""
    accelerator.free_memory()


def is_loss_of_another(error: Exception) -> bool:
    """Whether a collective ended because another process of the gang, or the way to it, is gone.

    gloo says so in a plain RuntimeError that names its source file; NCCL and the store raise DistError.
    """
    if isinstance(error, torch.distributed.DistError):
        return True
    return isinstance(error, RuntimeError) and "gloo/" in str(error)
