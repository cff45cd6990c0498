"""The transformers classes that predict whole texts, and their logits for a batch.

Axes: B texts (for choices, a text with one choice), T tokens, K labels.
"""

from pathlib import Path

import torch
from transformers import (
    MODEL_FOR_MULTIPLE_CHOICE_MAPPING,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING,
    AutoModelForMultipleChoice,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedConfig,
    PreTrainedModel,
)

from layerscope.jobs.artifacts.tokenised import Split
from layerscope.jobs.encoders.architecture import takes_token_types
from layerscope.jobs.encoders.heads import pool
from layerscope.jobs.encoders.layout import encoder_under
from layerscope.jobs.specs.recipe import TokenPooling
from layerscope.jobs.specs.targets import Kind
from layerscope.jobs.text.tokenising.inputs import inputs_of

AUTO_CLASSES = {
    "texts": AutoModelForSequenceClassification,
    "choices": AutoModelForMultipleChoice,
    "tokens": AutoModelForTokenClassification,
}
_MAPPINGS = {
    "texts": MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    "choices": MODEL_FOR_MULTIPLE_CHOICE_MAPPING,
    "tokens": MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING,
}


def has_class(config: PreTrainedConfig, kind: Kind) -> bool:
    """Whether transformers has a class of this kind for the configuration's type."""
    return type(config) in _MAPPINGS[kind]


def new_model(config: PreTrainedConfig, kind: Kind) -> PreTrainedModel:
    """A randomly initialised model of this configuration."""
    model: PreTrainedModel = AUTO_CLASSES[kind].from_config(config).eval()
    return model


def load_model(folder: Path, kind: Kind, *, key_mapping: dict[str, str] | None = None) -> PreTrainedModel:
    """The model of a folder, in float32.

    Raises:
        ValueError: there is no such class.
        RuntimeError: a weight in the folder does not have the shape that the class needs.
    """
    options = {"key_mapping": key_mapping} if key_mapping else {}
    loading = AUTO_CLASSES[kind].from_pretrained
    model: PreTrainedModel = loading(folder, dtype="float32", weights_only=True, **options).eval()
    return model


def text_logits(
    model: PreTrainedModel, kind: Kind, split: Split, *, pooling: TokenPooling, pad_id: int
) -> torch.Tensor:
    """The logits of texts (B, K), as one padded batch; logits of tokens are pooled."""
    ids_BT, mask_BT, types_BT, *_ = inputs_of(split, pad_id)
    inputs = {"input_ids": ids_BT, "attention_mask": mask_BT}
    if types_BT is not None and takes_token_types(encoder_under(model)):
        inputs["token_type_ids"] = types_BT
    if kind == "choices":
        inputs = {name: value.unsqueeze(1) for name, value in inputs.items()}
    with torch.inference_mode():
        logits = model(**inputs).logits
    return pool(logits, mask_BT, pooling) if kind == "tokens" else logits
