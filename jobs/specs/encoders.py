"""What is known of an encoder once it has been loaded and checked."""

from pathlib import Path

from layerscope.jobs.specs.spec import PositiveInt, Strict

ADAPTER = "adapter_config.json"
"""A file beside which transformers adds an adapter's weights to those of the model."""


def adapter_fault(folder: Path) -> str:
    """Why a folder with an adapter is no encoder."""
    return (
        f"{folder} holds an adapter of PEFT ({ADAPTER}), which transformers would add to the weights without "
        "a word: merge it (merge_and_unload, then save_pretrained into another folder), or take its files out"
    )


class EncoderFacts(Strict):
    """Found by passes of the encoder itself, not by the name of its family."""

    model_type: str
    """What transformers calls its architecture."""
    num_layers: PositiveInt
    width: PositiveInt
    """Features of a state."""
    vocabulary: PositiveInt
    """Rows of its table of tokens."""
    positions: PositiveInt | None
    """Tokens of the longest input, special ones included; none where inputs of any length run."""
    is_causal: bool
    """Whether a token sees only those before it."""
    shares_layers: bool
    """Whether layers share their weights, so that no rate, freezing or adapter can tell them apart."""
    cut_fault: str | None
    """Why the encoder cannot be cut at a lower layer; none where it can."""
    has_pooler: bool
    """Whether the folder has weights of a pooler: a dense layer and tanh over the first token."""
    has_masked_head: bool
    has_next_sentence_head: bool
    """Whether transformers has a model of this type that predicts masked tokens, and one that predicts
    whether a sentence follows another besides."""
    above: tuple[str, ...]
    """Modules that the state of the top layer passes, and so every other state: a normalisation, or none."""
    unread: tuple[str, ...]
    """Parameters that no state depends on; they are not trained."""
