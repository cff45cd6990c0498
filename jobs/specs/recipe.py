"""The factors of a fine-tuning recipe, as one writes them and as they enter a stage's identity."""

from typing import Annotated, Literal

from pydantic import Field

from jobs.specs.spec import PositiveFloat, PositiveInt, Share, Strict

Truncation = Literal["head", "tail", "head+tail"]
Pooling = Literal["cls", "mean"]
TrainSize = PositiveInt | Annotated[float, Field(gt=0, lt=1)]


class Training(Strict):
    """How the encoder and its head are trained."""

    learning_rate: PositiveFloat = 2e-5
    """Peak rate of the head and the top layer."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Factor by which the rate shrinks from each layer to the one below it (Sun et al. 2019, eq. 2)."""
    epochs: PositiveInt = 3
    batch_size: PositiveInt = 32
    """Examples of one optimiser step, over all workers together."""
    warmup: Share = 0.1
    """Part of the steps in which the rate rises from 0; it falls linearly to 0 afterwards."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Decoupled; not applied to biases and normalisation weights."""
    max_grad_norm: PositiveFloat = 1.0
    """Bound on the norm of the gradient of all parameters together."""
    evaluations_per_epoch: PositiveInt = 1
    """How often the validation split is scored; the best weights are kept."""
    pooling: Pooling = "cls"
    """What of the last layer the head reads: the first token, or the mean over tokens."""
    train_size: TrainSize | None = None
    """Training texts that are learnt from, as a number or a share: stratified, drawn with the variant's seed,
    and each size inside the larger ones; null takes all."""


class Pretraining(Strict):
    """Further masked-language-model training of the encoder before it is fine-tuned."""

    corpus: Literal["within-task"] = "within-task"
    """`within-task`: the texts of the task's own training split, without its validation part."""
    steps: PositiveInt = 100
    batch_size: PositiveInt = 32
    """Blocks of one optimiser step, over all workers together."""
    block_length: Annotated[int, Field(ge=8)] = 128
    """Tokens of one block, special tokens included; texts are laid end to end and cut into blocks."""
    learning_rate: PositiveFloat = 5e-5
    warmup: Share = 0.1
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    max_grad_norm: PositiveFloat = 1.0
    mask_probability: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Part of the tokens that is predicted: 80 % masked, 10 % random, 10 % left (Devlin et al. 2019)."""
    seed: int = 0
