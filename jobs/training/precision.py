"""Precision of activations and gradients; weights and optimiser states always stay in float32."""

import logging
from functools import cache

import torch

from layerscope.jobs.specs.recipe import Precision

CPU_CAPABILITIES = ("avx512_bf16", "amx_bf16", "avx10_2", "bf16", "sve_bf16")
"""Names of bfloat16 instructions in `torch.cpu.get_capabilities`: three for x86, two for ARM."""

logger = logging.getLogger(__name__)


def computing_in(precision: Precision, device: torch.device) -> torch.autocast:
    """An autocast context for this precision (mixed precision: sums and norms in float32).

    A CPU without bfloat16 instructions emulates it, with one warning per process.

    Raises:
        ValueError: the device does not support the precision.
    """
    if precision == "bfloat16" and not has_bfloat16(device):
        _tolerate_emulation(device)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device supports bfloat16 natively, without emulation."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return any(capabilities.get(name, False) for name in CPU_CAPABILITIES)
    return False


def name_of(device: torch.device) -> str:
    """The product name of a CUDA device, or the type of another device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"the device {device.type}"


def _tolerate_emulation(device: torch.device) -> None:
    if device.type != "cpu":
        raise ValueError(
            f"precision: {name_of(device)} has no bfloat16: float32 would be right here, or another device"
        )
    say_that_it_is_emulated()


@cache
def say_that_it_is_emulated() -> None:
    """Log the warning, once per process."""
    logger.warning(
        "precision: this CPU has no instructions for bfloat16 and emulates it: the results are rounded as "
        "asked for, but precision: float32 would be faster here"
    )
