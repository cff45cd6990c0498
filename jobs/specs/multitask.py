"""Joint training of one encoder on several tasks: what it depends on, and its stage."""

from typing import Annotated, Literal

from pydantic import Field

from layerscope.jobs.specs.recipe import Precision, TokenPooling
from layerscope.jobs.specs.spec import PositiveFloat, PositiveInt, Share, Spec, Strict

Sampling = Literal["proportional", "square-root", "uniform"]


class JointTraining(Strict):
    """How the shared encoder and the heads of all tasks are trained (Sun et al. 2019, section 5.5)."""

    sampling: Sampling = "proportional"
    """How likely a step is to be a task's: by its number of training texts, its square root, or all alike."""
    epochs: PositiveInt | None = None
    """Passes over the texts of all tasks together; under `proportional` each task has about so many."""
    steps: PositiveInt | None = None
    """Optimiser steps, in place of epochs."""
    evaluations: PositiveInt = 4
    """How often the validation splits of all tasks are scored; the last weights are kept."""
    batch_size: PositiveInt = 32
    """Texts of one optimiser step, all of one task, over all workers together."""
    learning_rate: PositiveFloat = 2e-5
    warmup: Share = 0.1
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    max_grad_norm: PositiveFloat = 1.0
    pooling: TokenPooling = "cls"
    precision: Precision = "float32"
    """`bfloat16` computes states and gradients in mixed precision; weights and optimiser stay in float32."""
    seed: int = 0


class MultitaskSpec(Spec):
    """An encoder trained on several tasks together, each with a linear head of its own.

    Parents: data/<task> of each task (prepare), encoder (optional, pretrain).
    """

    kind: Literal["multitask"] = "multitask"
    encoder: str
    """Digest of the weights that everything starts from; a pretrain parent stands above it."""
    training: JointTraining
