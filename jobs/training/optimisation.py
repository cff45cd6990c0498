"""Optimiser, learning-rate schedule and optimiser step of every kind of training."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, Literal, NamedTuple, TypeVar, assert_never

import torch
from accelerate import Accelerator
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from transformers import (
    get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup,
    get_linear_schedule_with_warmup,
)

from layerscope.jobs.context import StageContext
from layerscope.jobs.specs.recipe import Schedule
from layerscope.jobs.training.bert_adam import BertAdam, original_schedule
from layerscope.jobs.training.checkpoints import restore_schedule, schedule_state
from layerscope.jobs.training.learning_rates import Group
from layerscope.jobs.training.micro_batches import MicroBatches

Model = TypeVar("Model", bound=nn.Module)


class Batch(NamedTuple):
    """The batch of one optimiser step, identical on all processes."""

    rows: Sequence[Any]
    mean_loss: Callable[[Sequence[Any]], torch.Tensor]
    """Mean loss of some of the rows: one number, or several losses (L)."""
    weigh: Callable[[Sequence[Any]], int | torch.Tensor] = len
    """Number of terms that the mean loss of these rows averages over; (L) for several losses."""


class Optimisation(Generic[Model]):
    """A model with its optimiser and schedule on all processes of a training."""

    def __init__(
        self,
        model: Model,
        groups: Sequence[Group],
        context: StageContext,
        *,
        num_steps: int,
        warmup: float,
        max_grad_norm: float,
        kind: Literal["adamw", "bert-adam"] = "adamw",
        schedule: Schedule = "linear",
        micro_batch_size: int | None = None,
    ) -> None:
        """Create optimiser and schedule from the parameter groups of the model.

        Args:
            max_grad_norm: Bound on the norm of the whole gradient; with `bert-adam`, of each tensor's.
            schedule: As in `make_schedule`; ignored by `bert-adam`, which has its own.
            micro_batch_size: Maximum examples of one pass of one process.
        """
        assert context.accelerator is not None
        self.accelerator = context.accelerator
        if kind == "bert-adam":
            optimizer: torch.optim.Optimizer = make_bert_adam(groups, max_grad_norm=max_grad_norm)
            shape: Schedule | Literal["original"] = "original"
            self._max_grad_norm = math.inf
        else:
            optimizer = make_optimizer(groups)
            shape, self._max_grad_norm = schedule, max_grad_norm
        self.schedule = make_schedule(optimizer, num_steps=num_steps, warmup=warmup, shape=shape)
        self.model, self._optimizer = self.accelerator.prepare(model, optimizer)
        """The model as accelerate wraps it for training."""
        self.micro_batches = MicroBatches(
            micro_batch_size, accelerator=self.accelerator, model=self.model, say=context.say
        )

    @property
    def module(self) -> Model:
        """The unwrapped model, for evaluation and saving on this process."""
        module: Model = self.accelerator.unwrap_model(self.model)
        return module

    def step(self, batch: Batch) -> tuple[torch.Tensor, bool]:
        """One optimiser step. Returns this process's part of the loss (its average over processes is the
        batch's loss) and whether the gradient was finite; otherwise nothing is changed."""
        loss = self.micro_batches.backward(batch.rows, batch.mean_loss, weigh=batch.weigh)
        finite = follow_gradient(
            accelerator=self.accelerator,
            model=self.model,
            optimizer=self._optimizer,
            schedule=self.schedule,
            max_grad_norm=self._max_grad_norm,
        )
        return loss, finite

    def state(self) -> dict[str, Any]:
        """The JSON part of a checkpoint, besides weights, optimiser and random states."""
        return {"schedule": schedule_state(self.schedule), "micro_batch_size": self.micro_batches.size}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        restore_schedule(self.schedule, state["schedule"])
        self.micro_batches.at_most(state["micro_batch_size"])


def make_optimizer(groups: Iterable[Group]) -> torch.optim.AdamW:
    """AdamW with a learning rate and a weight decay for each group."""
    return torch.optim.AdamW(_with_options(groups), fused=True)


def make_bert_adam(groups: Iterable[Group], *, max_grad_norm: float) -> BertAdam:
    """BertAdam with a learning rate and a weight decay for each group; it clips each tensor's gradient."""
    return BertAdam(_with_options(groups), max_grad_norm=max_grad_norm)


def make_schedule(
    optimizer: torch.optim.Optimizer,
    *,
    num_steps: int,
    warmup: float,
    shape: Schedule | Literal["original"] = "linear",
) -> LambdaLR:
    """Linear warm-up over the first `warmup` share of the steps, then the given shape, for every group.

    `linear` and `cosine` end at 0; `original` is the schedule of BERT's first code.
    """
    num_rising = math.ceil(warmup * num_steps)
    match shape:
        case "linear":
            schedule: LambdaLR = get_linear_schedule_with_warmup(optimizer, num_rising, num_steps)
        case "cosine":
            schedule = get_cosine_schedule_with_warmup(optimizer, num_rising, num_steps)
        case "constant":
            schedule = get_constant_schedule_with_warmup(optimizer, num_rising)
        case "original":
            schedule = original_schedule(optimizer, num_steps=num_steps, warmup=warmup)
        case never:
            assert_never(never)
    return schedule


def follow_gradient(
    *,
    accelerator: Accelerator,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: LambdaLR,
    max_grad_norm: float,
) -> bool:
    """One optimiser step with the current gradient; False, with no weight changed, if it is not finite.

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
