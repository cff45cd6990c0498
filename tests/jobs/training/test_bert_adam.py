import math

import pytest
import torch

from layerscope.jobs.processes import alone
from layerscope.jobs.training.bert_adam import BertAdam, original_schedule
from layerscope.jobs.training.learning_rates import Group
from layerscope.jobs.training.optimisation import follow_gradient, make_bert_adam, make_schedule

RATE, WEIGHT_DECAY = 0.05, 0.1


def gradients(num_steps: int, scale: float = 1.0) -> list[list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(3)
    return [
        [torch.randn(shape, generator=generator, dtype=torch.float64) * scale for shape in ((3, 2), (4,))]
        for _ in range(num_steps)
    ]


def parameters() -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(4)
    return [
        torch.nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64))
        for shape in ((3, 2), (4,))
    ]


def slow_values(values, all_gradients, *, num_steps, warmup, max_norm):
    """The slow obvious version, one number at a time."""
    tensors = [value.detach().flatten().tolist() for value in values]
    means = [[0.0] * len(tensor) for tensor in tensors]
    squares = [[0.0] * len(tensor) for tensor in tensors]
    for step, both in enumerate(all_gradients):
        x = step / num_steps
        rate = RATE * (x / warmup if x < warmup else 1 - x)
        for tensor, mean, square, gradient in zip(tensors, means, squares, both, strict=True):
            flat = gradient.flatten().tolist()
            norm = math.sqrt(sum(number**2 for number in flat))
            # As clip_grad_norm_ of torch does it, with 1e-6 in the denominator.
            scale = min(1.0, max_norm / (norm + 1e-6))
            for i, number in enumerate(flat):
                g = number * scale
                mean[i] = 0.9 * mean[i] + 0.1 * g
                square[i] = 0.999 * square[i] + 0.001 * g * g
                tensor[i] -= rate * (mean[i] / (math.sqrt(square[i]) + 1e-6) + WEIGHT_DECAY * tensor[i])
        yield [torch.tensor(tensor, dtype=torch.float64) for tensor in tensors]


@pytest.mark.parametrize("scale", [0.1, 10.0])
def test_every_step_is_that_of_the_slow_obvious_version(scale):
    num_steps, values, given = 12, parameters(), gradients(12, scale)
    group = {"params": values, "lr": RATE, "weight_decay": WEIGHT_DECAY}
    optimizer = BertAdam([group], max_grad_norm=1.0)
    schedule = original_schedule(optimizer, num_steps=num_steps, warmup=0.25)
    start = [value.detach().clone() for value in values]
    expected = slow_values(start, given, num_steps=num_steps, warmup=0.25, max_norm=1.0)
    for both, after in zip(given, expected, strict=True):
        for value, gradient in zip(values, both, strict=True):
            value.grad = gradient.clone()
        optimizer.step()
        schedule.step()
        for value, wanted in zip(values, after, strict=True):
            # Float64: rounding error only.
            torch.testing.assert_close(value.detach().flatten(), wanted, atol=1e-12, rtol=0)
    assert all((value - began).abs().max() > 0.05 for value, began in zip(values, start, strict=True))


def test_with_bias_correction_it_would_be_adamw():
    ours, theirs = parameters(), parameters()
    optimizer = BertAdam([{"params": ours, "weight_decay": 0.0}], max_grad_norm=math.inf)
    reference = torch.optim.AdamW(theirs, lr=RATE, eps=1e-6, weight_decay=0.0)
    for step, both in enumerate(gradients(10), start=1):
        for pair, gradient in zip(zip(ours, theirs, strict=True), both, strict=True):
            for value in pair:
                value.grad = gradient.clone()
        # Kingma and Ba 2015, end of section 2: the correction as a change of rate and epsilon.
        correction = math.sqrt(1 - 0.999**step)
        optimizer.param_groups[0]["lr"] = RATE * correction / (1 - 0.9**step)
        optimizer.param_groups[0]["eps"] = 1e-6 * correction
        optimizer.step()
        reference.step()
        for mine, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine, other, atol=1e-12, rtol=0)


def test_decay_is_decoupled():
    ours, theirs = parameters(), parameters()
    optimizer = BertAdam([{"params": ours, "lr": RATE, "weight_decay": WEIGHT_DECAY}])
    reference = torch.optim.AdamW(theirs, lr=RATE, weight_decay=WEIGHT_DECAY)
    for value in [*ours, *theirs]:
        value.grad = torch.zeros_like(value)
    optimizer.step()
    reference.step()
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-15, rtol=0)


def test_the_rate_jumps_down_at_the_end_of_the_warm_up():
    optimizer = BertAdam([{"params": parameters(), "lr": 1.0}])
    schedule = make_schedule(optimizer, num_steps=10, warmup=0.4, shape="original")
    rates = []
    for _ in range(10):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0, 0.25, 0.5, 0.75, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])


def test_each_tensor_is_clipped_by_itself_and_what_is_not_finite_changes_nothing():
    model = torch.nn.Linear(2, 2)
    groups = [Group("all", tuple(model.parameters()), RATE, 0.0)]
    optimizer = make_bert_adam(groups, max_grad_norm=0.5)
    schedule = make_schedule(optimizer, num_steps=10, warmup=0.0, shape="original")
    norms = []
    optimizer.register_step_post_hook(
        lambda *_: norms.append([parameter.grad.norm().item() for parameter in model.parameters()])
    )

    def follow(weight: float, bias: float) -> bool:
        model.weight.grad = torch.full_like(model.weight, weight)
        model.bias.grad = torch.full_like(model.bias, bias)
        return follow_gradient(
            accelerator=alone(), model=model, optimizer=optimizer, schedule=schedule, max_grad_norm=math.inf
        )

    assert follow(100.0, 0.1)
    assert norms == [pytest.approx([0.5, 0.1 * math.sqrt(2)], rel=1e-4)]
    before = [parameter.detach().clone() for parameter in model.parameters()]
    assert not follow(math.nan, 0.1)
    assert all(torch.equal(*pair) for pair in zip(model.parameters(), before, strict=True))
