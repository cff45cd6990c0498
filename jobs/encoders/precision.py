"""The number format of states and gradients; weights and optimiser stay in float32 whatever it is."""

import torch

from jobs.specs.recipe import Precision


def computing_in(precision: Precision, device: torch.device) -> torch.autocast:
    """A context in which the model computes in a format (mixed precision: sums and norms in float32).

    Raises:
        ValueError: the device cannot compute in it.
    """
    if precision == "bfloat16" and not has_bfloat16(device):
        raise ValueError(
            f"precision: {name_of(device)} has no bfloat16: float32 would be right here, or another device"
        )
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device computes in bfloat16 itself."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu"


def name_of(device: torch.device) -> str:
    """The device as its maker calls it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"the device {device.type}"
