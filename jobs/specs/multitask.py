"""Joint training of one encoder on several tasks: settings and spec."""

from typing import Annotated, Literal

from pydantic import Field

from layerscope.jobs.specs.recipe import Precision, TokenPooling
from layerscope.jobs.specs.spec import PositiveFloat, PositiveInt, Share, Spec, Strict

Sampling = Literal["proportional", "square-root", "uniform"]


class JointTraining(Strict):
    """How the shared encoder and the heads of all tasks are trained (Sun et al. 2019, section 5.5)."""

    sampling: Sampling = "proportional"
    """Probability of sampling a task for a step: proportional to its number of training texts, to the square
    root of it, or uniform."""
    epochs: PositiveInt | None = None
    """Epochs over the texts of all tasks together; under `proportional` also about the epochs of each
    task."""
    steps: PositiveInt | None = None
    """Optimiser steps, instead of epochs."""
    evaluations: PositiveInt = 4
    """Number of evaluations on the validation splits of all tasks; the last weights are kept."""
    batch_size: PositiveInt = 32
    """Texts per optimiser step, all from one task, over all workers."""
    learning_rate: PositiveFloat = 2e-5
    warmup: Share = 0.1
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    max_grad_norm: PositiveFloat = 1.0
    pooling: TokenPooling = "cls"
    precision: Precision = "float32"
    """`bfloat16`: mixed precision; weights and optimiser stay in float32."""
    seed: int = 0


class MultitaskSpec(Spec):
    """An encoder trained jointly on several tasks, each with its own linear head.

    Parents: data/<task> of each task (prepare), encoder (optional, pretrain).
    """

    kind: Literal["multitask"] = "multitask"
    encoder: str
    """Digest of the base model's weights; a pretrain parent takes precedence."""
    training: JointTraining
