"""The factors of a fine-tuning recipe, as configured and as part of a stage's key."""

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
    """Training of the encoder and its head."""

    learning_rate: PositiveFloat = 2e-5
    """Peak learning rate of the head and, in most conventions, of the top layer."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Factor of the learning rate from each layer to the one below (Sun et al. 2019, eq. 2)."""
    decay_convention: DecayConvention = "sun-eq"
    """Convention of the decay: `sun-eq` as in the paper, `sun-code` as in its code (embeddings at the full
    rate), `revisit` and `timm` (top layer decayed once), `electra` (twice)."""
    head_learning_rate: PositiveFloat | None = None
    """Peak learning rate of the head; by default learning_rate, as in every convention."""
    embeddings_rate: Literal["convention", "base", "decayed"] = "convention"
    """`base` or `decayed` (one layer below the lowest), to override the convention."""
    frozen_layers: Annotated[int, Field(ge=0)] | Literal["all"] = 0
    """Number of bottom layers that are frozen, together with the embeddings; 0 trains everything."""
    reinitialised_layers: Annotated[int, Field(ge=0)] = 0
    """Number of top layers that are randomly re-initialised with the variant's seed."""
    lora_rank: PositiveInt | None = None
    """Rank of LoRA adapters on every linear module of every layer, trained instead of the encoder and merged
    into its weights at the end (Hu et al. 2022); none by default."""
    lora_alpha: PositiveFloat = 16.0
    """LoRA scaling: lora_alpha / lora_rank."""
    lora_dropout: Share = 0.0
    """Dropout before the LoRA adapters."""
    epochs: PositiveInt = 3
    batch_size: PositiveInt = 32
    """Examples per optimiser step, over all workers."""
    warmup: Share = 0.1
    """Share of the steps for linear warm-up."""
    schedule: Schedule = "linear"
    """Learning rate after warm-up: linear or cosine decay to 0, or constant."""
    optimizer: Literal["adamw", "bert-adam"] = "adamw"
    """`bert-adam` is the optimiser of BERT's original code, for replications: no bias correction, gradients
    clipped per tensor, and a linear schedule that decays as if it had started at step 0."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Decoupled weight decay; not applied to biases and normalisation weights."""
    max_grad_norm: PositiveFloat = 1.0
    """Maximum global gradient norm."""
    precision: Precision = "float32"
    """`bfloat16`: mixed precision; weights and optimiser stay in float32."""
    evaluations_per_epoch: PositiveInt = 1
    """Number of evaluations on the validation split; the best weights are kept."""
    pooling: Pooling = "cls"
    """Token pooling: the first token, the mean over tokens, the last token (decoder-only models, whose
    attention is causal), or the first token through the encoder's own pooler (dense, tanh)."""
    layers: Layers = "last"
    """Layers that the head reads, counted from 1: `last`, `all`, `first-N`, `last-N`, a number, or a list.
    Layers above the highest of them are removed."""
    layer_pooling: LayerPooling | None = "concat"
    """Pooling over several layers; null in the plan if the head reads one layer."""
    window_pooling: WindowPooling | None = None
    """Pooling over the windows of a text: mean or maximum of their vectors, weighted mean by additive
    attention, mean of their logits, or (trained as `logits`) majority vote of their predictions."""
    train_size: TrainSize | None = None
    """Number or share of training texts: a stratified sample with the variant's seed; smaller samples are
    subsets of larger ones; null uses all."""


class Pretraining(Strict):
    """Continued pretraining of the encoder on raw text, before fine-tuning.

    The learning-rate schedule spans all `steps`, so a snapshot of a longer run had other learning rates than
    a run that ends at its step.
    """

    steps: PositiveInt = 100
    snapshots: tuple[PositiveInt, ...] = ()
    """Steps at which the encoder is also saved; a recipe starts from one by `name@step`."""
    batch_size: PositiveInt = 32
    """Blocks, or pairs of sentences, per optimiser step, over all workers."""
    block_length: Annotated[int, Field(ge=8)] = 128
    """Tokens per block, special tokens included; texts are concatenated and split into blocks."""
    learning_rate: PositiveFloat = 5e-5
    warmup: Share = 0.1
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    max_grad_norm: PositiveFloat = 1.0
    masking: Masking = "token"
    """Masking unit: each `token` independently, or whole words (`word`). Of the selected tokens,
    independently, 80 % are masked, 10 % replaced by a random token, 10 % unchanged (Devlin et al. 2019)."""
    mask_probability: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Share of tokens, or of words, that is selected for prediction."""
    next_sentence: bool = False
    """Next-sentence prediction on pairs of sentences instead of blocks: half of the second sentences follow
    the first, the others are from another document (Devlin et al. 2019). For the BERT family."""
    precision: Precision = "float32"
    """`bfloat16` computes states and gradients in mixed precision; weights and optimiser stay in float32."""
    seed: int = 0
