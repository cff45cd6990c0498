"""A linear classifier of pooled states as one of transformers' own models, which classifies every token.

Its logits at the first token are those of a head on [CLS], those at the last token of a head there. The mean
of its logits over the tokens is what a head on the mean of their states gives, as both are linear.

Axes: B texts, T tokens, K labels, D features.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import (
    MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING,
    AutoModelForTokenClassification,
    PreTrainedModel,
)

from jobs.encoders.architecture import keep_layers, takes_token_types
from jobs.encoders.heads import pool
from jobs.specs.recipe import TokenPooling
from jobs.text.inputs import inputs_of
from jobs.text.prepared import Split


def token_classifier(
    encoder: PreTrainedModel,
    *,
    num_layers: int,
    weight_KD: np.ndarray,
    bias_K: np.ndarray,
    labels: Sequence[str],
) -> PreTrainedModel:
    """The encoder, cut off above `num_layers` layers (in place), under the head; its config has the labels.

    Raises:
        ValueError: the family's token classifier is not a linear layer on the encoder's states, or the
            encoder cannot be cut.
    """
    keep_layers(encoder, num_layers)
    config = encoder.config
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: number for number, label in enumerate(labels)}
    if type(config) not in MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING:
        raise ValueError(
            f"transformers has no classifier of tokens of the type {config.model_type}, so no model of its "
            "own computes this head"
        )
    model = AutoModelForTokenClassification.from_config(config)
    head = getattr(model, "classifier", getattr(model, "score", None))
    if not isinstance(head, nn.Linear) or hasattr(model, "head"):
        raise ValueError(
            f"{type(model).__name__} is not a linear layer on the encoder's states, so no model of "
            "transformers' own computes this head"
        )
    model.base_model.load_state_dict(encoder.state_dict())
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weight_KD))
        head.bias.copy_(torch.from_numpy(bias_K))
    return model.eval()


def load_token_classifier(folder: Path) -> PreTrainedModel:
    """The model of a folder, in float32."""
    model = AutoModelForTokenClassification.from_pretrained(folder, dtype="float32", weights_only=True)
    return model.eval()


def text_logits(model: PreTrainedModel, split: Split, pooling: TokenPooling) -> np.ndarray:
    """The logits of texts (B, K): those of the first token or the last, or the mean over the tokens."""
    ids_BT, mask_BT, types_BT, *_ = inputs_of(split, model.config.pad_token_id or 0)
    types = (
        {"token_type_ids": types_BT} if types_BT is not None and takes_token_types(model.base_model) else {}
    )
    with torch.inference_mode():
        logits_BTK = model(input_ids=ids_BT, attention_mask=mask_BT, **types).logits
    return pool(logits_BTK, mask_BT, pooling).numpy()
