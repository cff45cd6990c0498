"""Optimiser, schedule and one step, the same for every kind of training."""

import math
from collections.abc import Iterable

import torch
from accelerate import Accelerator
from torch import nn
from transformers import get_linear_schedule_with_warmup

from jobs.encoders.learning_rates import Group


def make_optimizer(groups: Iterable[Group]) -> torch.optim.AdamW:
    """AdamW with a rate and a weight decay for each group."""
    return torch.optim.AdamW(
        [
            {
                "params": list(group.parameters),
                "lr": group.learning_rate,
                "weight_decay": group.weight_decay,
                "name": group.name,
            }
            for group in groups
        ],
        fused=True,
    )


def make_schedule(
    optimizer: torch.optim.Optimizer, *, num_steps: int, warmup: float
) -> torch.optim.lr_scheduler.LambdaLR:
    """Every group's rate rises linearly over the first part of the steps and falls linearly to 0."""
    return get_linear_schedule_with_warmup(optimizer, math.ceil(warmup * num_steps), num_steps)


def take_step(
    loss: torch.Tensor,
    *,
    accelerator: Accelerator,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
    max_grad_norm: float,
) -> bool:
    """One optimiser step; false, with nothing changed, when the gradient is not finite."""
    accelerator.backward(loss)
    norm = accelerator.clip_grad_norm_(model.parameters(), max_grad_norm)
    finite = bool(torch.isfinite(norm))
    if finite:
        optimizer.step()
        schedule.step()
    optimizer.zero_grad()
    return finite
