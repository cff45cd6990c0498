"""Gradient accumulation over micro-batches that fit into memory; the gradient is that of the whole batch."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import torch
from accelerate import Accelerator
from torch import nn

from layerscope.jobs.processes import share

Row = TypeVar("Row")
Result = TypeVar("Result")

NUMBERS_REDUCED_AT_ONCE = 8_000_000
"""32 MB of float32: few messages, and little memory compared with the gradient."""
RIGHT = (
    "a shorter max_length (in pretraining: block_length), precision: bfloat16, frozen layers or adapters "
    "(lora_rank), or a device with more memory would be right"
)


class MicroBatches:
    """Forward and backward passes over a worker's share of a batch, a micro-batch at a time.

    Each process accumulates the gradients of its micro-batches before any exchange. So a process that runs
    out of memory can report it, and all halve the micro-batch size together and retry the same batch.
    """

    def __init__(
        self, size: int | None, *, accelerator: Accelerator, model: nn.Module, say: Callable[[str], None]
    ) -> None:
        """`size` is the maximum number of examples of one pass in one process; None means its whole share."""
        self.size = size
        self._accelerator, self._model, self._say = accelerator, model, say

    def at_most(self, size: int | None) -> None:
        """Limit the micro-batch size to `size`, unless it is None."""
        self.size = min((one for one in (self.size, size) if one is not None), default=None)

    def examples_at_once(self, num_rows: int) -> int:
        """Maximum examples of one pass in one process, for a batch of `num_rows` over all processes."""
        whole: int = -(-num_rows // self._accelerator.num_processes)
        return whole if self.size is None else min(self.size, whole)

    def backward(
        self,
        rows: Sequence[Row],
        mean_loss: Callable[[Sequence[Row]], torch.Tensor],
        *,
        weigh: Callable[[Sequence[Row]], int | torch.Tensor] = len,
    ) -> torch.Tensor:
        """Compute the gradient of the batch's mean loss on every process; for several losses, of their sum.

        A process without a share takes part with weight 0.

        Args:
            rows: The batch, in the same order on all processes.
            mean_loss: Mean loss of some rows: one number, or several losses (L).
            weigh: Number of terms that the mean loss of some rows averages over; (L) for several losses.

        Returns:
            This process's part of each loss; its average over processes is the mean over the batch.

        Raises:
            ValueError: one example does not fit into memory, or a parameter gets no gradient.
        """
        while (loss := self._sum_up(rows, mean_loss, weigh)) is None:
            self._halve(len(rows))
        self._average_gradient()
        return loss

    def _sum_up(
        self,
        rows: Sequence[Row],
        mean_loss: Callable[[Sequence[Row]], torch.Tensor],
        weigh: Callable[[Sequence[Row]], int | torch.Tensor],
    ) -> torch.Tensor | None:
        """Accumulate the gradient of this process's rows and return its part of the loss; None, with
        gradients cleared, if any process ran out of memory."""
        own, at_once = share(rows, self._accelerator), self.examples_at_once(len(rows))
        each = self._accelerator.num_processes / _counted(weigh(rows)).clamp(min=1)
        parts = [own[first : first + at_once] for first in range(0, len(own), at_once)]
        weighted = [(part, _counted(weigh(part)) * each) for part in parts] or [(rows[:1], 0 * each)]
        loss = self._try(weighted, mean_loss)
        if loss is None:
            self._model.zero_grad(set_to_none=True)
            torch.cuda.empty_cache()
        device = self._accelerator.device
        had_room = torch.tensor(float(loss is not None), device=device)
        if self._accelerator.reduce(had_room, reduction="mean").item() < 1:
            self._model.zero_grad(set_to_none=True)
            return None
        return loss

    def _try(
        self,
        weighted: Iterable[tuple[Sequence[Row], torch.Tensor]],
        mean_loss: Callable[[Sequence[Row]], torch.Tensor],
    ) -> torch.Tensor | None:
        total = torch.zeros((), device=self._accelerator.device)
        try:
            with self._accelerator.no_sync(self._model):
                for part, weight in weighted:
                    loss = mean_loss(part)
                    loss = loss * weight.to(loss)
                    self._accelerator.backward(loss.sum())
                    total = total + loss.detach()
        except torch.OutOfMemoryError:
            return None
        return total

    def _halve(self, num_rows: int) -> None:
        tried = self.examples_at_once(num_rows)
        if tried == 1:
            raise ValueError(f"out of memory with one example at a time: {RIGHT}")
        self.size = tried // 2
        self._say(
            f"out of memory with {tried} examples at a time: from here on {self.size} at a time; "
            "the batch of one optimiser step stays as it is"
        )

    def _average_gradient(self) -> None:
        named = {name: value for name, value in self._model.named_parameters() if value.requires_grad}
        if idle := [name for name, value in named.items() if value.grad is None]:
            raise ValueError(f"nothing reads these parameters, so they cannot be trained: {', '.join(idle)}")
        if self._accelerator.num_processes == 1:
            return
        for gradients in _of_limited_size(value.grad for value in named.values() if value.grad is not None):
            flat = self._accelerator.reduce(torch.cat([g.flatten() for g in gradients]), reduction="mean")
            for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
                gradient.copy_(part.view_as(gradient))


def in_batches(
    rows: Sequence[Row], compute: Callable[[Sequence[Row]], Result], *, size: int
) -> list[tuple[Sequence[Row], Result]]:
    """Batches of at most `size` rows with their results; `size` is halved when memory runs out.

    Raises:
        ValueError: one example does not fit into memory.
    """
    found: list[tuple[Sequence[Row], Result]] = []
    first = 0
    while first < len(rows):
        part = rows[first : first + size]
        if (result := _unless_out_of_memory(compute, part)) is not None:
            found.append((part, result))
            first += size
        elif size == 1:
            raise ValueError(f"out of memory with one example at a time: {RIGHT}")
        else:
            size //= 2
            torch.cuda.empty_cache()
    return found


def _counted(weight: int | torch.Tensor) -> torch.Tensor:
    return torch.as_tensor(weight, dtype=torch.float64)


def _unless_out_of_memory(compute: Callable[[Sequence[Row]], Result], part: Sequence[Row]) -> Result | None:
    try:
        return compute(part)
    except torch.OutOfMemoryError:
        return None


def _of_limited_size(tensors: Iterable[torch.Tensor]) -> Iterable[list[torch.Tensor]]:
    group: list[torch.Tensor] = []
    for tensor in tensors:
        if group and sum(map(torch.numel, group)) + tensor.numel() > NUMBERS_REDUCED_AT_ONCE:
            yield group
            group = []
        group.append(tensor)
    if group:
        yield group
