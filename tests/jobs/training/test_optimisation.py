import math

import pytest
import torch
from torch import nn

from layerscope.jobs.processes import alone
from layerscope.jobs.training.learning_rates import Group
from layerscope.jobs.training.optimisation import follow_gradient, make_optimizer, make_schedule


def parts_of(model, *, num_steps=10, warmup=0.25):
    groups = [
        Group("weights", (model.weight,), 0.1, 0.5),
        Group("biases", (model.bias,), 0.01, 0.0),
    ]
    optimizer = make_optimizer(groups)
    return optimizer, make_schedule(optimizer, num_steps=num_steps, warmup=warmup)


def step(loss, model, optimizer, schedule, *, max_grad_norm=1.0):
    loss.backward()
    return follow_gradient(
        accelerator=alone(),
        model=model,
        optimizer=optimizer,
        schedule=schedule,
        max_grad_norm=max_grad_norm,
    )


def test_every_rate_rises_to_its_peak_and_falls_to_0():
    model = nn.Linear(2, 2)
    optimizer, schedule = parts_of(model)
    rates = []
    for _ in range(10):
        rates.append([group["lr"] for group in optimizer.param_groups])
        assert step(model(torch.ones(1, 2)).sum(), model, optimizer, schedule)
    # A quarter of 10 steps, rounded up, is 3.
    shape = [0, 1 / 3, 2 / 3, 1, *(rest / 7 for rest in range(6, 0, -1))]
    assert [rate for rate, _ in rates] == pytest.approx([0.1 * part for part in shape])
    assert [rate for _, rate in rates] == pytest.approx([0.01 * part for part in shape])
    assert schedule.get_last_lr() == [0, 0]


def test_weight_decay_pulls_on_its_group_only():
    model = nn.Linear(2, 2)
    weight, bias = model.weight.detach().clone(), model.bias.detach().clone()
    optimizer, schedule = parts_of(model, warmup=0.0)
    assert step(model(torch.ones(1, 2)).sum() * 0, model, optimizer, schedule)
    torch.testing.assert_close(model.weight.detach(), weight * (1 - 0.1 * 0.5))
    assert torch.equal(model.bias, bias)


def test_the_gradient_of_all_parameters_together_is_bounded():
    model = nn.Linear(2, 2)
    optimizer, schedule = parts_of(model)
    norms = []

    def record(*_):
        norms.append(math.hypot(*(p.grad.norm().item() for p in model.parameters())))

    optimizer.register_step_pre_hook(record)
    for scale in (100.0, 1e-3):
        step(model(torch.ones(1, 2)).sum() * scale, model, optimizer, schedule, max_grad_norm=0.5)
    assert norms[0] == pytest.approx(0.5, rel=1e-4)
    assert norms[1] == pytest.approx(1e-3 * math.sqrt(6))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_changes_nothing(value):
    model = nn.Linear(2, 2)
    optimizer, schedule = parts_of(model, warmup=0.0)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    assert not step(model(torch.ones(1, 2)).sum() * value, model, optimizer, schedule)
    assert all(torch.equal(*pair) for pair in zip(model.parameters(), before, strict=True))
    assert schedule.get_last_lr() == [0.1, 0.01]
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("shape", "falling"),
    [
        ("cosine", [(1 + math.cos(math.pi * done / 6)) / 2 for done in range(7)]),
        ("constant", [1.0] * 7),
    ],
)
def test_other_schedules_rise_alike_and_then_go_their_way(shape, falling):
    model = nn.Linear(2, 2)
    optimizer = make_optimizer([Group("all", tuple(model.parameters()), 0.1, 0.0)])
    schedule = make_schedule(optimizer, num_steps=8, warmup=0.25, shape=shape)
    rates = []
    for _ in range(9):
        rates += schedule.get_last_lr()
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0.1 * part for part in [0, 0.5, *falling]])
