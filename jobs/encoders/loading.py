"""Encoders in and out of folders: safetensors weights, no remote code, the pooler apart."""

import inspect
import shutil
from pathlib import Path

import torch
from torch import nn
from transformers import (
    MODEL_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    PreTrainedConfig,
    PreTrainedModel,
)

from jobs.text.tokenizer import TOKENIZER_FILES


def load_encoder(folder: Path) -> PreTrainedModel:
    """The bare encoder of a folder in float32, without a pooler.

    A pooler that nothing reads would be an unused parameter, which data-parallel training refuses.
    """
    config = AutoConfig.from_pretrained(folder)
    options = {"add_pooling_layer": False} if _takes_pooling_layer(config) else {}
    return AutoModel.from_pretrained(folder, dtype="float32", weights_only=True, **options)


def load_pooler(folder: Path) -> dict[str, torch.Tensor]:
    """`weight` and `bias` of the dense layer through which the folder's encoder passes its first token.

    Raises:
        ValueError: the encoder has no pooler, or the folder no weights for it.
    """
    encoder, found = AutoModel.from_pretrained(
        folder, dtype="float32", weights_only=True, output_loading_info=True
    )
    pooler = getattr(encoder, "pooler", None)
    dense = getattr(pooler, "dense", pooler)
    if not isinstance(dense, nn.Linear) or any("pooler" in name for name in found["missing_keys"]):
        raise ValueError(f"{folder}: {type(encoder).__name__} has no pooler there: pool by cls or mean")
    return dense.state_dict()


def load_masked_language_model(folder: Path) -> PreTrainedModel:
    """The encoder of a folder with a head that predicts masked tokens, a new one where none is stored."""
    return AutoModelForMaskedLM.from_pretrained(folder, dtype="float32", weights_only=True)


def save_encoder(encoder: PreTrainedModel, folder: Path, *, tokenizer_from: Path) -> None:
    """Write config, safetensors weights and the tokenizer's files, so that `AutoModel` loads the folder."""
    encoder.save_pretrained(folder)
    for name in TOKENIZER_FILES:
        if (tokenizer_from / name).exists():
            shutil.copyfile(tokenizer_from / name, folder / name)


def _takes_pooling_layer(config: PreTrainedConfig) -> bool:
    return "add_pooling_layer" in inspect.signature(MODEL_MAPPING[type(config)].__init__).parameters
