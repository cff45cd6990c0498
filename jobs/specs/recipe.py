"""The factors of a fine-tuning recipe, as one writes them and as they enter a stage's identity."""

from typing import Annotated, Literal

from pydantic import Field

from layerscope.jobs.specs.layers import Layers
from layerscope.jobs.specs.spec import PositiveFloat, PositiveInt, Share, Strict

Truncation = Literal["head", "tail", "head+tail", "middle", "windows"]
TokenPooling = Literal["cls", "mean", "last"]
Pooling = Literal["cls", "mean", "last", "pooler"]
LayerPooling = Literal["concat", "mean", "max"]
WindowPooling = Literal["mean", "max", "attention", "logits", "vote"]
DecayConvention = Literal["sun-code", "sun-eq", "revisit", "electra", "timm"]
Schedule = Literal["linear", "cosine", "constant"]
Precision = Literal["float32", "bfloat16"]
Masking = Literal["token", "word"]
TrainSize = PositiveInt | Annotated[float, Field(gt=0, lt=1)]


class Training(Strict):
    """How the encoder and its head are trained."""

    learning_rate: PositiveFloat = 2e-5
    """Peak rate of the head and, unless the convention says otherwise, of the top layer."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Factor by which the rate shrinks from each layer to the one below it (Sun et al. 2019, eq. 2)."""
    decay_convention: DecayConvention = "sun-eq"
    """Where the decay begins and what it spares: `sun-eq` as in the paper, `sun-code` as in its code (the
    embeddings at the full rate), `revisit` and `timm` (the top layer decayed once), `electra` (twice)."""
    head_learning_rate: PositiveFloat | None = None
    """Peak rate of the head; by default learning_rate, as in every convention."""
    embeddings_rate: Literal["convention", "base", "decayed"] = "convention"
    """`base` or `decayed` (one layer below the lowest) where the convention's rule is not wanted."""
    frozen_layers: Annotated[int, Field(ge=0)] | Literal["all"] = 0
    """So many layers from below are not trained, nor are the embeddings; 0 trains everything."""
    reinitialised_layers: Annotated[int, Field(ge=0)] = 0
    """So many layers from above begin with new random weights, drawn by the variant's seed."""
    lora_rank: PositiveInt | None = None
    """Rank of adapters on every linear part of every layer, trained in place of the encoder and added to its
    weights at the end (Hu et al. 2022); none by default."""
    lora_alpha: PositiveFloat = 16.0
    """The adapters' product is scaled by lora_alpha / lora_rank."""
    lora_dropout: Share = 0.0
    """Dropout before the adapters."""
    epochs: PositiveInt = 3
    batch_size: PositiveInt = 32
    """Examples of one optimiser step, over all workers together."""
    warmup: Share = 0.1
    """Part of the steps in which the rate rises from 0; afterwards it follows the schedule."""
    schedule: Schedule = "linear"
    """How the rate goes on after the warm-up: falls linearly or as a cosine to 0, or stays."""
    optimizer: Literal["adamw", "bert-adam"] = "adamw"
    """`bert-adam` is that of BERT's first code, for replications: no bias correction, each tensor's gradient
    clipped by itself, and a linear schedule that falls from where the warm-up would have begun at 1."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Decoupled; not applied to biases and normalisation weights."""
    max_grad_norm: PositiveFloat = 1.0
    """Bound on the norm of the gradient of all parameters together."""
    precision: Precision = "float32"
    """`bfloat16` computes states and gradients in mixed precision; weights and optimiser stay in float32."""
    evaluations_per_epoch: PositiveInt = 1
    """How often the validation split is scored; the best weights are kept."""
    pooling: Pooling = "cls"
    """What of a layer the head reads: the first token, the mean over tokens, the last token (decoder-only
    models, whose first token sees nothing of the text), or the first token through the encoder's own pooler
    (dense, tanh)."""
    layers: Layers = "last"
    """Layers that the head reads, counted from 1: `last`, `all`, `first-N`, `last-N`, a number, or a list.
    Layers above the highest of them are cut off."""
    layer_pooling: LayerPooling | None = "concat"
    """What becomes of the vectors of several layers; a plan has none where the head reads one layer."""
    window_pooling: WindowPooling | None = None
    """What becomes of the windows of a text: the mean or maximum of their vectors, their weighted mean by
    additive attention, the mean of their logits, or (trained as `logits`) a vote of their predictions."""
    train_size: TrainSize | None = None
    """Training texts that are learnt from, as a number or a share: stratified, drawn with the variant's seed,
    and each size inside the larger ones; null takes all."""


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
    """What is chosen to be predicted: each `token` for itself, or all tokens of a `word` or none. Of the
    chosen tokens, each for itself, 80 % are masked, 10 % random, 10 % left (Devlin et al. 2019)."""
    mask_probability: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Part of the tokens, or of the words, that is predicted."""
    next_sentence: bool = False
    """Whether pairs of sentences take the place of blocks, and it is predicted too whether the second follows
    the first: half do, the others stand in another document (Devlin et al. 2019). For BERT's family."""
    precision: Precision = "float32"
    """`bfloat16` computes states and gradients in mixed precision; weights and optimiser stay in float32."""
    seed: int = 0
