"""Randomly initialised encoders of the BERT family, built around a tokenizer."""

from pathlib import Path
from typing import Any, Literal

import torch
from transformers import (
    AlbertConfig,
    AutoModelForMaskedLM,
    BertConfig,
    PreTrainedConfig,
    RobertaConfig,
)

from layerscope.jobs.encoders.loading import save_encoder
from layerscope.jobs.text.tokenising.auto_tokenizer import auto_tokenizer, name_class, written_tokenizer

Architecture = Literal["bert", "roberta", "albert"]

_CONFIGS: dict[str, type[PreTrainedConfig]] = {
    "bert": BertConfig,
    "roberta": RobertaConfig,
    "albert": AlbertConfig,
}
_ALBERT_EMBEDDINGS = 128
"""Width of ALBERT's embeddings, independent of the width of its layers (Lan et al. 2020)."""


def write_scratch_encoder(
    folder: Path,
    *,
    architecture: Architecture,
    layers: int,
    width: int,
    heads: int,
    feed_forward: int,
    positions: int,
    seed: int,
    tokenizer: Path,
) -> None:
    """Write config, weights with a masked-language-modelling head, and the tokenizer's files.

    The vocabulary and the special tokens are the tokenizer's. RoBERTa counts positions from its padding id +
    1, so its position table is larger by that number.

    Raises:
        ValueError: the width is not a multiple of the attention heads, or the tokenizer cannot be used.
    """
    if width % heads:
        raise ValueError(f"a width of {width} cannot be shared by {heads} heads: must be a multiple of them")
    tokens = auto_tokenizer(tokenizer)
    fields: dict[str, Any] = {
        "vocab_size": len(tokens),
        "num_hidden_layers": layers,
        "hidden_size": width,
        "num_attention_heads": heads,
        "intermediate_size": feed_forward,
        "max_position_embeddings": positions,
        "pad_token_id": tokens.pad_token_id,
        "bos_token_id": tokens.bos_token_id,
        "eos_token_id": tokens.eos_token_id,
    }
    if architecture == "roberta":
        fields |= {"max_position_embeddings": positions + tokens.pad_token_id + 1, "type_vocab_size": 1}
    if architecture == "albert":
        fields |= {
            "embedding_size": min(_ALBERT_EMBEDDINGS, width),
            "hidden_dropout_prob": 0.1,
            "attention_probs_dropout_prob": 0.1,
        }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForMaskedLM.from_config(_CONFIGS[architecture](**fields))
    save_encoder(model, folder, tokenizer_from=tokenizer)
    name_class(folder, type(tokens).__name__)  # Or a config.json beside the files might name another.
    if written_tokenizer(folder) != written_tokenizer(tokenizer):
        raise ValueError(
            f"{tokenizer}: transformers reads its files otherwise where the encoder is of the type "
            f"{architecture}: choose the architecture that the tokenizer was made for"
        )
