"""The factors of a fine-tuning recipe, as one writes them and as they enter a stage's identity."""

from typing import Annotated, Literal

from pydantic import Field

from jobs.specs.spec import PositiveFloat, PositiveInt, Share, Strict

Truncation = Literal["head", "tail", "head+tail"]
Pooling = Literal["cls", "mean"]
Masking = Literal["token", "word"]


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


class Pretraining(Strict):
    """Further training of the encoder on raw text before it is fine-tuned: what is learnt, and for how long.

    The learning rate rises and falls over all of `steps`: a snapshot of a longer run was trained at other
    rates than a run that ends at its step.
    """

    steps: PositiveInt = 100
    snapshots: tuple[PositiveInt, ...] = ()
    """Steps at which the encoder is kept too; a recipe starts from one of them by `name@step`."""
    batch_size: PositiveInt = 32
    """Blocks, or pairs of sentences, of one optimiser step, over all workers together."""
    block_length: Annotated[int, Field(ge=8)] = 128
    """Tokens of one block, special tokens included; texts are laid end to end and cut into blocks."""
    learning_rate: PositiveFloat = 5e-5
    warmup: Share = 0.1
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    max_grad_norm: PositiveFloat = 1.0
    masking: Masking = "token"
    """`token`: each for itself; 80 % masked, 10 % random, 10 % left (Devlin et al. 2019). `word`: all tokens
    of a word or none, every one of them masked."""
    mask_probability: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Part of the tokens, or of the words, that is predicted."""
    next_sentence: bool = False
    """Whether pairs of sentences take the place of blocks, and it is predicted too whether the second follows
    the first: half do, the others stand in another document (Devlin et al. 2019). For BERT's family."""
    seed: int = 0
