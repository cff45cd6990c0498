"""A linear classifier of pooled states as a transformers token classifier.

Its logits at the first token are those of a head on [CLS], at the last token those of a head there. The mean
of its logits over tokens equals the logits of a head on the mean state, because both are linear.
"""

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from layerscope.jobs.encoders.answering_classes import has_class, new_model
from layerscope.jobs.encoders.text_classifier import take_encoder
from layerscope.jobs.encoders.text_head import TextHead


def token_classifier(encoder: PreTrainedModel, config: PreTrainedConfig, head: TextHead) -> PreTrainedModel:
    """The encoder with the head as a token classifier.

    Args:
        config: The encoder's configuration, with the labels.

    Raises:
        ValueError: the head has a pooler, or the family's token classifier is not a linear layer on the
            encoder's states.
    """
    if head.pooler is not None:
        raise ValueError(
            f"no model of transformers' own of the type {config.model_type} computes the head on its pooler"
        )
    if not has_class(config, "tokens"):
        raise ValueError(
            f"transformers has no classifier of tokens of the type {config.model_type}, so no model of its "
            "own computes this head"
        )
    model = new_model(config, "tokens")
    linear = getattr(model, "classifier", getattr(model, "score", None))
    if not isinstance(linear, nn.Linear) or getattr(linear, "bias", None) is None or hasattr(model, "head"):
        raise ValueError(
            f"{type(model).__name__} is not a linear layer on the encoder's states, so no model of "
            "transformers' own computes this head"
        )
    take_encoder(model, encoder)
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(head.weight_KD))
        linear.bias.copy_(torch.from_numpy(head.bias_K))
    return model
