"""Batches in parts that fit into memory; what is learnt from them is what the whole batch teaches."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import torch
from accelerate import Accelerator
from torch import nn

from layerscope.jobs.processes import share

Row = TypeVar("Row")
Result = TypeVar("Result")

NUMBERS_REDUCED_AT_ONCE = 8_000_000
"""32 MB of float32: few messages, and little memory beside the gradient."""
RIGHT = (
    "a shorter max_length (in pretraining: block_length), precision: bfloat16, frozen layers or adapters "
    "(lora_rank), or a device with more memory would be right"
)


class MicroBatches:
    """Forward and backward passes over a worker's share of a batch, so many examples at a time.

    Each process adds up the gradients of its parts before anything is exchanged. So one that runs out of
    memory can say so, and all halve the parts together and try the same batch again.
    """

    def __init__(
        self, size: int | None, *, accelerator: Accelerator, model: nn.Module, say: Callable[[str], None]
    ) -> None:
        """With so many examples in one pass of one process; without a size with its whole share."""
        self.size = size
        self._accelerator, self._model, self._say = accelerator, model, say

    def at_most(self, size: int | None) -> None:
        """Never take more examples at a time than this, where it is a number."""
        self.size = min((one for one in (self.size, size) if one is not None), default=None)

    def examples_at_once(self, num_rows: int) -> int:
        """The most examples of one pass in one process, of a batch of so many over all processes."""
        whole: int = -(-num_rows // self._accelerator.num_processes)
        return whole if self.size is None else min(self.size, whole)

    def backward(
        self,
        rows: Sequence[Row],
        mean_loss: Callable[[Sequence[Row]], torch.Tensor],
        *,
        weigh: Callable[[Sequence[Row]], int | torch.Tensor] = len,
    ) -> torch.Tensor:
        """Leave the gradient of a batch's mean loss on every process; of several losses, that of their sum.

        A process without a share takes part with weight 0.

        Args:
            rows: The batch, which all processes see in the same order.
            mean_loss: Of some rows; one number, or several losses (L).
            weigh: What the mean is over: of how many things these rows consist; for several losses (L).

        Returns:
            This process's part of each loss; its average over processes is the mean over the batch.

        Raises:
            ValueError: there is not even room for one example, or a parameter gets no gradient.
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
        """The gradient of this process's rows; none, with no gradient left, where any process had no room."""
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
    """Batches of at most so many rows with what is computed of each; half as many where memory runs out."""
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
