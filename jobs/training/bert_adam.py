"""BertAdam, the optimiser of BERT's first code, with its schedule: for replications.

The source is `BertAdam` and `warmup_linear` of pytorch-pretrained-bert 0.6 (optimization.py), with which Sun
et al. 2019 fine-tuned; it follows `AdamWeightDecayOptimizer` of google-research/bert.
"""

import math
from collections.abc import Iterable
from functools import partial
from typing import Any

import torch


class BertAdam(torch.optim.Optimizer):
    """Adam without bias correction, with decoupled weight decay and gradient clipping per tensor.

    m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;  p <- p - rate (m / (sqrt(v) + eps) + weight_decay p)

    Without the correction the first steps are up to (1 - b1) / sqrt(1 - b2) = 3.2 times as long as Adam's.

    Args:
        max_grad_norm: Bound on the norm of each tensor's gradient; infinity does not clip.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        max_grad_norm: float = 1.0,
    ) -> None:
        defaults = {
            "lr": 0.0,
            "betas": betas,
            "eps": eps,
            "weight_decay": 0.0,
            "max_grad_norm": max_grad_norm,
        }
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # takes no closure
        """Update every parameter that has a gradient."""
        assert closure is None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, group)

    def _move(self, parameter: torch.Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["mean"], state["square"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        if group["max_grad_norm"] < math.inf:
            torch.nn.utils.clip_grad_norm_(parameter, group["max_grad_norm"])
        first, second = group["betas"]
        gradient = parameter.grad
        state["mean"].mul_(first).add_(gradient, alpha=1 - first)
        state["square"].mul_(second).addcmul_(gradient, gradient, value=1 - second)
        update = state["mean"] / (state["square"].sqrt() + group["eps"])
        update.add_(parameter, alpha=group["weight_decay"])
        parameter.add_(update, alpha=-group["lr"])


def original_schedule(
    optimizer: torch.optim.Optimizer, *, num_steps: int, warmup: float
) -> torch.optim.lr_scheduler.LambdaLR:
    """Learning rates are multiplied by x / warmup while x < warmup, then by 1 - x; x is the share of steps
    done.

    At the end of the warm-up they jump from 1 down to 1 - warmup.
    """
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer, partial(_multiplier, num_steps=num_steps, warmup=warmup)
    )


def _multiplier(step: int, *, num_steps: int, warmup: float) -> float:
    done = step / num_steps
    return done / warmup if done < warmup else 1.0 - done
