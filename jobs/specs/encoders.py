"""Facts of an encoder, known once it has been loaded and checked."""

from pathlib import Path

from layerscope.jobs.specs.spec import PositiveInt, Strict

ADAPTER = "adapter_config.json"
"""If this file is present, transformers adds an adapter's weights to the model."""


def adapter_fault(folder: Path) -> str:
    """Why a folder with an adapter is rejected."""
    return (
        f"{folder} has a PEFT adapter ({ADAPTER}), which transformers would silently add to the weights"
        ": merge it (merge_and_unload, then save_pretrained into another folder), or remove its files"
    )


class EncoderFacts(Strict):
    """Facts found by forward passes of the encoder, not by the name of its family."""

    model_type: str
    """Its architecture (model type) in transformers."""
    num_layers: PositiveInt
    width: PositiveInt
    """Hidden size."""
    vocabulary: PositiveInt
    """Rows of the token embedding matrix."""
    positions: PositiveInt | None
    """Tokens of the longest input, special tokens included; None without a limit."""
    is_causal: bool
    """Whether attention is causal."""
    shares_layers: bool
    """Whether layers share their weights, so that they cannot have their own learning rate, freezing or
    adapter."""
    cut_fault: str | None
    """Why upper layers cannot be removed; None if they can."""
    has_pooler: bool
    """Whether the folder has pooler weights: a dense layer and tanh over the first token."""
    has_masked_head: bool
    has_next_sentence_head: bool
    """Whether transformers has a model of this type for masked language modelling, and one that also predicts
    next sentences."""
    above: tuple[str, ...]
    """Modules applied to the output of the top layer, and therefore to all states: a normalisation, or
    none."""
    unread: tuple[str, ...]
    """Parameters that no hidden state depends on; they are not trained."""
