"""Parameter groups with layer-wise learning rates (Sun et al. 2019, eq. 2)."""

from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel

from jobs.encoders.architecture import layer_of_parameter
from jobs.specs.recipe import Training


@dataclass(frozen=True)
class Group:
    """Parameters that share a rate and a weight decay."""

    name: str
    parameters: tuple[nn.Parameter, ...]
    learning_rate: float
    weight_decay: float


def parameter_groups(encoder: PreTrainedModel, head: nn.Module, training: Training) -> list[Group]:
    """Every parameter in exactly one group.

    The head and the top layer L learn at the base rate, layer l at base x decay^(L - l), the embeddings
    at base x decay^L. Biases and normalisation weights (all with one axis) have no weight decay.
    """
    named = [("head", parameter) for parameter in head.parameters()]
    num_layers = encoder.config.num_hidden_layers
    if training.layer_decay == 1.0:
        named += [("encoder", parameter) for parameter in encoder.parameters()]
        depth_by_name = {"head": num_layers, "encoder": num_layers}
    else:
        depths = layer_of_parameter(encoder)
        named += [(_layer_name(depths[name]), parameter) for name, parameter in encoder.named_parameters()]
        depth_by_name = {_layer_name(depth): depth for depth in range(num_layers + 1)} | {"head": num_layers}
    members: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for name, parameter in named:
        members.setdefault((name, parameter.ndim > 1), []).append(parameter)
    return [
        Group(
            name=name if decays else f"{name}, no weight decay",
            parameters=tuple(parameters),
            learning_rate=training.learning_rate * training.layer_decay ** (num_layers - depth_by_name[name]),
            weight_decay=training.weight_decay if decays else 0.0,
        )
        for (name, decays), parameters in members.items()
    ]


def _layer_name(depth: int) -> str:
    return f"layer {depth}" if depth else "embeddings"
