"""Optimiser, schedule and one step, the same for every kind of training."""

import math
from collections.abc import Iterable
from typing import Literal, assert_never

import torch
from accelerate import Accelerator
from torch import nn
from transformers import (
    get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup,
    get_linear_schedule_with_warmup,
)

from layerscope.jobs.specs.recipe import Schedule
from layerscope.jobs.training.bert_adam import BertAdam, original_schedule
from layerscope.jobs.training.learning_rates import Group


def make_optimizer(groups: Iterable[Group]) -> torch.optim.AdamW:
    """AdamW with a rate and a weight decay for each group."""
    return torch.optim.AdamW(_with_options(groups), fused=True)


def make_bert_adam(groups: Iterable[Group], *, max_grad_norm: float) -> BertAdam:
    """BertAdam with a rate and a weight decay for each group; it clips each tensor's gradient by itself."""
    return BertAdam(_with_options(groups), max_grad_norm=max_grad_norm)


def make_schedule(
    optimizer: torch.optim.Optimizer,
    *,
    num_steps: int,
    warmup: float,
    shape: Schedule | Literal["original"] = "linear",
) -> torch.optim.lr_scheduler.LambdaLR:
    """Every group's rate rises linearly over the first part of the steps, and then takes its shape.

    `linear` and `cosine` end at 0; `original` is that of BERT's first code.
    """
    num_rising = math.ceil(warmup * num_steps)
    match shape:
        case "linear":
            return get_linear_schedule_with_warmup(optimizer, num_rising, num_steps)
        case "cosine":
            return get_cosine_schedule_with_warmup(optimizer, num_rising, num_steps)
        case "constant":
            return get_constant_schedule_with_warmup(optimizer, num_rising)
        case "original":
            return original_schedule(optimizer, num_steps=num_steps, warmup=warmup)
        case never:
            assert_never(never)


def follow_gradient(
    *,
    accelerator: Accelerator,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
    max_grad_norm: float,
) -> bool:
    """One optimiser step along the gradient that is there; false, with nothing changed, if it is not finite.

    Args:
        max_grad_norm: Bound on the norm of the gradient of all parameters together; infinity does not clip.
    """
    norm = accelerator.clip_grad_norm_(model.parameters(), max_grad_norm)
    finite = bool(torch.isfinite(norm))
    if finite:
        optimizer.step()
        schedule.step()
    optimizer.zero_grad()
    return finite


def _with_options(groups: Iterable[Group]) -> list[dict[str, object]]:
    return [
        {
            "params": list(group.parameters),
            "lr": group.learning_rate,
            "weight_decay": group.weight_decay,
            "name": group.name,
        }
        for group in groups
    ]
