"""Where the layers of an encoder are, how many of them are kept, and whether it tells segments apart."""

import inspect
import re

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

_NORMS_ABOVE = (
    "final_norm",
    "ln_f",
    "norm",
    "final_layernorm",
    "final_layer_norm",
    "decoder.final_layer_norm",
)
"""What families call the normalisation above the top layer."""


def layers_of(encoder: PreTrainedModel) -> nn.ModuleList:
    """The encoder's layers from bottom to top.

    Raises:
        ValueError: the encoder shares one layer's weights over its depth, or has no list of layers.
    """
    depth = encoder.config.num_hidden_layers
    lists = [
        module for module in encoder.modules() if isinstance(module, nn.ModuleList) and len(module) == depth
    ]
    if not lists:
        raise ValueError(
            f"{type(encoder).__name__} has no list of {depth} layers: encoders that share one layer "
            "over their depth (ALBERT) have no layer-wise learning rates"
        )
    return lists[0]


def layer_of_parameter(encoder: PreTrainedModel) -> dict[str, int]:
    """Depth of every parameter by name: 0 for embeddings, 1 to L for the layers, L + 1 for what follows them.

    A table of relative positions that every layer reads (DeBERTa, MPNet) counts as embeddings, with its
    normalisation; the convolution that DeBERTa adds to its first layer counts as part of that.
    """
    layers = layers_of(encoder)
    layer_by_id = {
        id(parameter): depth
        for depth, layer in enumerate(layers, start=1)
        for parameter in layer.parameters()
    }
    tables = {id(module.weight) for module in encoder.modules() if isinstance(module, nn.Embedding)}
    is_deberta = encoder.config.model_type.startswith("deberta")

    def depth_beside_layers(name: str, parameter: nn.Parameter) -> int:
        if "embed" in name or id(parameter) in tables:
            return 0
        if is_deberta and (found := re.match(r"encoder\.(LayerNorm|conv)\.", name)):
            return 0 if found[1] == "LayerNorm" else 1
        return len(layers) + 1

    return {
        name: layer_by_id.get(id(parameter)) or depth_beside_layers(name, parameter)
        for name, parameter in encoder.named_parameters()
    }


def keep_layers(encoder: PreTrainedModel, number: int) -> None:
    """Cut off every layer above the lowest `number`, in the encoder and its configuration.

    What follows the top layer (ModernBERT's last normalisation) then follows the highest that is left.

    Raises:
        ValueError: there are not so many layers, or several shared ones (ALBERT with groups).
    """
    config = encoder.config
    if not 1 <= number <= config.num_hidden_layers:
        raise ValueError(
            f"{number} layers cannot be kept: {type(encoder).__name__} has {config.num_hidden_layers}"
        )
    if number == config.num_hidden_layers:
        return
    match getattr(config, "num_hidden_groups", None):
        case None:
            del layers_of(encoder)[number:]
        case 1:
            pass  # ALBERT: one layer, applied as often as the configuration says.
        case groups:
            raise ValueError(f"{type(encoder).__name__} with {groups} groups of shared layers cannot be cut")
    config.num_hidden_layers = number
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:number]


def layer_states(encoder: PreTrainedModel, output: BaseModelOutput) -> list[torch.Tensor]:
    """The state of every layer (B, T, D), 0 the embeddings, as the encoder cut off above it would give it.

    Where a normalisation stands above the top layer (ModernBERT, decoder-only models), every state passes it.

    Args:
        output: Of the encoder, with `output_hidden_states`.
    """
    norm = _norm_above(encoder)
    below = output.hidden_states[:-1]
    return [*(below if norm is None else map(norm, below)), output.last_hidden_state]


def _norm_above(encoder: PreTrainedModel) -> nn.Module | None:
    modules = dict(encoder.named_modules())
    return next((modules[name] for name in _NORMS_ABOVE if name in modules), None)


def takes_token_types(encoder: PreTrainedModel) -> bool:
    """Whether the encoder has embeddings for the two texts of a pair."""
    parameters = inspect.signature(encoder.forward).parameters
    return "token_type_ids" in parameters and (getattr(encoder.config, "type_vocab_size", 0) or 0) > 1
