"""The layers of an encoder: listing, removal, and the depth of each parameter."""

import inspect

from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from layerscope.jobs.encoders.layout import find_layout_again, layout_of

_LISTS_OF_OTHER_THINGS = ("architectures", "pos_att_type")
"""Lists of a configuration that are not per layer, even if they have as many entries."""
_DEPTH_FIELDS = ("n_layers", "n_layer", "num_layers", "num_hidden_layers")
"""Names of the attribute that modules use for the number of layers to loop over."""


def layers_of(encoder: PreTrainedModel) -> list[nn.Module]:
    """The encoder's layers from bottom to top; a layer whose parts are in parallel lists (XLM) is a list of
    its parts.

    Raises:
        ValueError: layers share their weights.
    """
    layout = layout_of(encoder)
    if not layout.layers:
        raise ValueError(
            f"{type(encoder).__name__} has no list of {layout.num_layers} layers: encoders that share one "
            "layer over their depth (ALBERT) have no layer-wise learning rates"
        )
    found = [list(map(encoder.get_submodule, names)) for names in layout.layers]
    return [parts[0] if len(parts) == 1 else nn.ModuleList(parts) for parts in found]


def layer_of_parameter(encoder: PreTrainedModel) -> dict[str, int]:
    """Depth of every parameter by name: 0 for embeddings, 1 to L for the layers, L + 1 for what follows them.

    Adapter parameters belong to the layer that they adapt.
    """
    layout, layers = layout_of(encoder), layers_of(encoder)
    depth_by_id = {
        id(parameter): depth
        for depth, layer in enumerate(layers, start=1)
        for parameter in layer.parameters()
    } | {id(encoder.get_parameter(name)): depth for name, depth in layout.depth_outside.items()}
    return {name: depth_by_id[id(parameter)] for name, parameter in encoder.named_parameters()}


def keep_layers(encoder: PreTrainedModel, number: int) -> None:
    """Remove every layer above the bottom `number`, in the encoder and its configuration.

    What follows the top layer (a final normalisation) then follows the highest remaining layer.

    Raises:
        ValueError: there are fewer layers, or several groups of shared layers (ALBERT with groups).
    """
    layout = layout_of(encoder)
    if not 1 <= number <= layout.num_layers:
        raise ValueError(f"{number} layers cannot be kept: {type(encoder).__name__} has {layout.num_layers}")
    if number == layout.num_layers:
        return
    groups = getattr(encoder.config, "num_hidden_groups", None) or 1
    if not layout.layers and groups > 1:
        raise ValueError(f"{type(encoder).__name__} with {groups} groups of shared layers cannot be cut")
    for name in layout.layers[0] if layout.layers else ():
        above, _, place = name.rpartition(".")
        assert place == "0", "the lowest layer is the first of its list"
        layers = encoder.get_submodule(above)
        assert isinstance(layers, nn.ModuleList), "as the layout finds them"
        del layers[number:]
    for module in encoder.modules():
        for field in _DEPTH_FIELDS:
            if vars(module).get(field) == layout.num_layers:
                setattr(module, field, number)
    regression = getattr(getattr(encoder, "contact_head", None), "regression", None)
    if isinstance(regression, nn.Linear):  # ESM's, which reads the attention of all layers, lowest first.
        regression.in_features = number * encoder.config.num_attention_heads
        regression.weight.data = regression.weight.data[:, : regression.in_features].clone()
    _shorten(encoder.config, layout.num_layers, number)
    find_layout_again(encoder)


def _shorten(config: PreTrainedConfig, depth: int, number: int) -> None:
    """Shorten the number of layers, and every list with an entry per layer (such as kinds or windows)."""
    for name, value in vars(config).items():
        if name not in _LISTS_OF_OTHER_THINGS and isinstance(value, list | tuple) and len(value) == depth:
            setattr(config, name, value[:number])
    if getattr(config, "num_hidden_groups", None) == depth:  # An ALBERT whose layers share nothing.
        config.num_hidden_groups = number
    if config.model_type == "gpt_neo":  # Its configuration has the kinds of its layers in a second form.
        config.attention_types = [[[kind], 1] for kind in config.attention_layers]
    config.num_hidden_layers = number


def takes_token_types(encoder: PreTrainedModel) -> bool:
    """Whether the encoder has embeddings for the two texts of a pair."""
    parameters = inspect.signature(encoder.forward).parameters
    return "token_type_ids" in parameters and (getattr(encoder.config, "type_vocab_size", 0) or 0) > 1
