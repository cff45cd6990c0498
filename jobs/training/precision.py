"""The number format of states and gradients; weights and optimiser stay in float32 whatever it is."""

import logging
from functools import cache

import torch

from layerscope.jobs.specs.recipe import Precision

CPU_CAPABILITIES = ("avx512_bf16", "amx_bf16", "avx10_2", "bf16", "sve_bf16")
"""Instructions for bfloat16 as `torch.cpu.get_capabilities` calls them: three of x86, two of ARM."""

logger = logging.getLogger(__name__)


def computing_in(precision: Precision, device: torch.device) -> torch.autocast:
    """A context in which the model computes in a format (mixed precision: sums and norms in float32).

    A CPU without instructions for bfloat16 emulates it, which is said once in the log of the process.

    Raises:
        ValueError: the device cannot compute in it.
    """
    if precision == "bfloat16" and not has_bfloat16(device):
        _tolerate_emulation(device)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device computes in bfloat16 itself, with no emulation."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return any(capabilities.get(name, False) for name in CPU_CAPABILITIES)
    return False


def name_of(device: torch.device) -> str:
    """The device as its maker calls it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"the device {device.type}"


def _tolerate_emulation(device: torch.device) -> None:
    if device.type != "cpu":
        raise ValueError(
            f"precision: {name_of(device)} has no bfloat16: float32 would be right here, or another device"
        )
    say_that_it_is_emulated()


@cache
def say_that_it_is_emulated() -> None:
    """Once in a process."""
    logger.warning(
        "precision: this CPU has no instructions for bfloat16 and emulates it: the results are rounded as "
        "asked for, but precision: float32 would be faster here"
    )
