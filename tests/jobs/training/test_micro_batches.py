import math

import pytest
import torch
from torch import nn

from layerscope.jobs.processes import alone
from layerscope.jobs.training.micro_batches import MicroBatches, in_batches

NUM_ROWS = 7


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(NUM_ROWS, 3, generator=generator), torch.arange(NUM_ROWS) % 2


def micro_batches(model, size, said=None) -> MicroBatches:
    say = (said if said is not None else []).append
    return MicroBatches(size, accelerator=alone(), model=model, say=say)


def mean_loss(model, *, room: float = math.inf, sizes: list[int] | None = None):
    """Cross-entropy of some rows; memory runs out where there are more of them than room."""
    x_ND, labels_N = data()

    def of(rows):
        if sizes is not None:
            sizes.append(len(rows))
        loss = nn.functional.cross_entropy(model(x_ND[list(rows)]), labels_N[list(rows)])
        if len(rows) > room:
            raise torch.OutOfMemoryError("no room")
        return loss

    return of


def gradient_of(model) -> torch.Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


@pytest.fixture
def expected(model):
    """Loss and gradient of the whole batch, without any of it."""
    x_ND, labels_N = data()
    loss = nn.functional.cross_entropy(model(x_ND), labels_N)
    loss.backward()
    gradient = gradient_of(model)
    model.zero_grad()
    return loss.item(), gradient


@pytest.mark.parametrize("size", [None, 1, 2, 3, 4, 7, 100])
def test_the_parts_have_the_loss_and_the_gradient_of_the_whole(model, expected, size):
    sizes = []
    loss = micro_batches(model, size).backward(range(NUM_ROWS), mean_loss(model, sizes=sizes))
    assert loss.item() == pytest.approx(expected[0], abs=1e-6)
    torch.testing.assert_close(gradient_of(model), expected[1], atol=1e-6, rtol=0)
    assert sum(sizes) == NUM_ROWS
    assert max(sizes) == min(size or NUM_ROWS, NUM_ROWS)


def test_a_mean_over_unequal_rows_is_weighed_by_what_they_hold(model):
    x_ND, labels_N = data()
    num_inside = [3, 0, 1, 2, 5, 1, 1]

    def weigh(rows):
        return sum(num_inside[row] for row in rows)

    def of(rows):
        each = nn.functional.cross_entropy(model(x_ND[list(rows)]), labels_N[list(rows)], reduction="none")
        weights = torch.tensor([float(num_inside[row]) for row in rows])
        return (each * weights).sum() / max(1, weigh(rows))

    whole = of(range(NUM_ROWS))
    whole.backward()
    gradient = gradient_of(model)
    model.zero_grad()
    loss = micro_batches(model, 2).backward(range(NUM_ROWS), of, weigh=weigh)
    assert loss.item() == pytest.approx(whole.item(), abs=1e-6)
    torch.testing.assert_close(gradient_of(model), gradient, atol=1e-6, rtol=0)


def test_each_of_several_losses_is_weighed_by_what_it_is_a_mean_over(model):
    x_ND, labels_N = data()
    num_inside = torch.tensor([3.0, 0, 1, 2, 0, 1, 1])

    def weigh(rows):
        return torch.tensor([num_inside[list(rows)].sum(), len(rows)])

    def of(rows):
        logits_BK = model(x_ND[list(rows)])
        each = nn.functional.cross_entropy(logits_BK, labels_N[list(rows)], reduction="none")
        inside = (each * num_inside[list(rows)]).sum() / weigh(rows)[0].clamp(min=1)
        return torch.stack([inside, logits_BK.square().mean()])

    whole = of(range(NUM_ROWS))
    whole.sum().backward()
    gradient = gradient_of(model)
    model.zero_grad()
    losses = micro_batches(model, 2).backward(range(NUM_ROWS), of, weigh=weigh)
    torch.testing.assert_close(losses, whole.detach(), atol=1e-6, rtol=0)
    torch.testing.assert_close(gradient_of(model), gradient, atol=1e-6, rtol=0)


def test_a_size_found_before_is_kept_where_it_is_the_smaller_one(model):
    found = []
    for size, before in [(None, None), (None, 2), (4, None), (4, 2), (2, 4)]:
        parts = micro_batches(model, size)
        parts.at_most(before)
        found.append(parts.size)
    assert found == [None, 2, 4, 2, 2]


def test_where_memory_runs_out_parts_are_halved_until_they_fit_and_stay_so(model, expected):
    said, sizes = [], []
    parts = micro_batches(model, None, said)
    loss = parts.backward(range(NUM_ROWS), mean_loss(model, room=2, sizes=sizes))
    assert loss.item() == pytest.approx(expected[0], abs=1e-6)
    torch.testing.assert_close(gradient_of(model), expected[1], atol=1e-6, rtol=0)
    assert sizes == [7, 3, 1, 1, 1, 1, 1, 1, 1]
    assert parts.size == parts.examples_at_once(NUM_ROWS) == 1
    assert said == [
        "out of memory with 7 examples at a time: from here on 3 at a time; "
        "the batch of one optimiser step stays as it is",
        "out of memory with 3 examples at a time: from here on 1 at a time; "
        "the batch of one optimiser step stays as it is",
    ]
    sizes.clear()
    parts.backward(range(NUM_ROWS), mean_loss(model, room=2, sizes=sizes))
    assert sizes == [1] * NUM_ROWS


def test_memory_that_runs_out_in_a_later_part_leaves_nothing_of_the_earlier_ones(model, expected):
    calls = []
    whole = mean_loss(model)

    def of(rows):
        calls.append(len(rows))
        if len(calls) == 2:
            raise torch.OutOfMemoryError("no room")
        return whole(rows)

    parts = micro_batches(model, 4)
    parts.backward(range(NUM_ROWS), of)
    assert calls == [4, 3, 2, 2, 2, 1]
    torch.testing.assert_close(gradient_of(model), expected[1], atol=1e-6, rtol=0)


def test_a_size_above_the_batch_is_halved_from_the_batch(model):
    parts = micro_batches(model, 64)
    parts.backward(range(NUM_ROWS), mean_loss(model, room=3))
    assert parts.size == 3


def test_no_room_for_one_example_is_an_error_that_says_what_would_be_right(model):
    with pytest.raises(ValueError, match="out of memory with one example at a time: a shorter max_length"):
        micro_batches(model, 1).backward(range(NUM_ROWS), mean_loss(model, room=0))
    assert all(parameter.grad is None for parameter in model.parameters())


def test_another_error_is_not_taken_for_want_of_memory(model):
    def broken(rows):
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        micro_batches(model, 2).backward(range(NUM_ROWS), broken)


def test_a_parameter_that_nothing_reads_is_an_error(model):
    model.idle = nn.Linear(1, 1)
    x_ND, labels_N = data()

    def of(rows):
        hidden = model[2](model[1](model[0](x_ND[list(rows)])))
        return nn.functional.cross_entropy(hidden, labels_N[list(rows)])

    with pytest.raises(ValueError, match="cannot be trained: idle.weight, idle.bias"):
        micro_batches(model, 2).backward(range(NUM_ROWS), of)
    model.idle.requires_grad_(False)
    micro_batches(model, 2).backward(range(NUM_ROWS), of)


def test_batches_without_a_gradient_are_halved_too():
    tried = []

    def total(rows):
        tried.append(len(rows))
        if len(rows) > 2:
            raise torch.OutOfMemoryError("no room")
        return sum(rows)

    found = in_batches(range(7), total, size=6)
    assert [list(rows) for rows, _ in found] == [[0], [1], [2], [3], [4], [5], [6]]
    assert [value for _, value in found] == list(range(7))
    assert tried == [6, 3, 1, 1, 1, 1, 1, 1, 1]
    assert in_batches([], total, size=4) == []
    with pytest.raises(ValueError, match="out of memory with one example at a time"):
        in_batches([3, 4], lambda rows: total([*rows] * 3), size=2)
