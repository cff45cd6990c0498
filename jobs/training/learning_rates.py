"""Parameter groups with layer-wise learning rates (Sun et al. 2019, eq. 2)."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel

from layerscope.jobs.artifacts.parameter_groups import ParameterGroup
from layerscope.jobs.encoders.architecture import layer_of_parameter
from layerscope.jobs.specs.recipe import DecayConvention, Training

AFTER_LAYERS = "after the layers"


@dataclass(frozen=True)
class Group:
    """Parameters that share a learning rate and a weight decay."""

    name: str
    parameters: tuple[nn.Parameter, ...]
    learning_rate: float
    weight_decay: float
    names: tuple[str, ...] = ()
    """Names of the parameters, in the same order."""

    def described(self) -> ParameterGroup:
        """The group as an artifact records it."""
        return ParameterGroup(
            self.name,
            sum(parameter.numel() for parameter in self.parameters),
            self.learning_rate,
            self.weight_decay,
            self.names,
        )


@dataclass(frozen=True)
class Convention:
    """How an implementation counts decays. The head and what follows the layers have no decay."""

    decays_of_top: int
    """Decays of the top layer. Each layer below has one more; the embeddings one more than the lowest
    layer."""
    decays_embeddings: bool = True
    head_has_weight_decay: bool = True


CONVENTIONS: Mapping[DecayConvention, Convention] = {
    "sun-eq": Convention(0),
    "sun-code": Convention(0, decays_embeddings=False),
    "revisit": Convention(1, head_has_weight_decay=False),
    "electra": Convention(2),
    "timm": Convention(1),
}
"""Sun et al. 2019 as written and as in their code; Zhang et al. 2021 (revisit-bert-finetuning); ELECTRA's
fine-tuning; BEiT, MAE and timm."""


def parameter_groups(encoder: PreTrainedModel, head: nn.Module, training: Training) -> list[Group]:
    """Every trained parameter of encoder and head in exactly one group; frozen ones in none.

    Biases and normalisation weights (all with one axis) have no weight decay.
    """
    rates = _encoder_rates(encoder, training)
    above = training.weight_decay if CONVENTIONS[training.decay_convention].head_has_weight_decay else 0.0
    head_rate = _Rate("head", training.head_learning_rate or training.learning_rate)
    named = [(f"head.{name}", parameter, head_rate) for name, parameter in head.named_parameters()]
    named += [(f"encoder.{name}", parameter, rates[name]) for name, parameter in encoder.named_parameters()]
    members: dict[tuple[_Rate, bool], dict[str, nn.Parameter]] = {}
    for name, parameter, rate in named:
        if parameter.requires_grad:
            members.setdefault((rate, parameter.ndim > 1), {})[name] = parameter
    return [
        Group(
            name=rate.group if decays else f"{rate.group}, no weight decay",
            parameters=tuple(parameters.values()),
            learning_rate=rate.value,
            weight_decay=0.0 if not decays else above if rate.is_above else training.weight_decay,
            names=tuple(parameters),
        )
        for (rate, decays), parameters in members.items()
    ]


def groups_at_one_rate(
    model: nn.Module, *, learning_rate: float, weight_decay: float, name: str = "all"
) -> list[Group]:
    """All parameters of a model at one learning rate; biases and normalisation weights have no weight
    decay."""
    named = dict(model.named_parameters())
    matrices = {key: parameter for key, parameter in named.items() if parameter.ndim > 1}
    vectors = {key: parameter for key, parameter in named.items() if parameter.ndim <= 1}
    return [
        Group(name, tuple(matrices.values()), learning_rate, weight_decay, tuple(matrices)),
        Group(f"{name}, no weight decay", tuple(vectors.values()), learning_rate, 0.0, tuple(vectors)),
    ]


def check_complete(groups: Iterable[Group], named_parameters: Iterable[tuple[str, nn.Parameter]]) -> None:
    """Check that every trained parameter is in exactly one group.

    Raises:
        ValueError: a parameter is in no group (it would never be trained), or in several.
    """
    counts = Counter(id(parameter) for group in groups for parameter in group.parameters)
    named = {name: parameter for name, parameter in named_parameters if parameter.requires_grad}
    if missing := [name for name, parameter in named.items() if not counts[id(parameter)]]:
        raise ValueError(f"in no parameter group, so never trained: {', '.join(missing)}")
    if repeated := [name for name, parameter in named.items() if counts[id(parameter)] > 1]:
        raise ValueError(f"in more than one parameter group: {', '.join(repeated)}")


def num_decays_by_depth(training: Training, *, num_layers: int) -> dict[int, int]:
    """Number of decays at each depth: 0 the embeddings, 1 to L the layers, L + 1 what follows them."""
    convention = CONVENTIONS[training.decay_convention]
    lowest = convention.decays_of_top + num_layers
    decays_embeddings = {
        "convention": convention.decays_embeddings,
        "base": False,
        "decayed": True,
    }[training.embeddings_rate]
    layers = {depth: lowest - depth for depth in range(1, num_layers + 1)}
    return {0: lowest if decays_embeddings else 0} | layers | {num_layers + 1: 0}


def group_table(groups: Sequence[Group]) -> str:
    """The groups as a text table, one per line: name, parameters, peak learning rate, weight decay."""
    rows = [("parameter group", "parameters", "learning rate", "weight decay")]
    for group in groups:
        rate, decay = f"{group.learning_rate:.4g}", f"{group.weight_decay:g}"
        rows.append((group.name, f"{group.described().num_parameters:,}", rate, decay))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *(row[column].rjust(widths[column]) for column in range(1, 4))]
        ).rstrip()
        for row in rows
    )


@dataclass(frozen=True)
class _Rate:
    group: str
    value: float

    @property
    def is_above(self) -> bool:
        return self.group in ("head", AFTER_LAYERS)


def _encoder_rates(encoder: PreTrainedModel, training: Training) -> dict[str, _Rate]:
    """Group and learning rate of each encoder parameter, by name."""
    base, decay, num_layers = training.learning_rate, training.layer_decay, encoder.config.num_hidden_layers
    if decay == 1.0:
        return {name: _Rate("encoder", base) for name, _ in encoder.named_parameters()}
    group_by_depth = {0: "embeddings", num_layers + 1: AFTER_LAYERS}
    rate_by_depth = {
        depth: _Rate(group_by_depth.get(depth, f"layer {depth}"), base * decay**num_decays)
        for depth, num_decays in num_decays_by_depth(training, num_layers=num_layers).items()
    }
    return {name: rate_by_depth[depth] for name, depth in layer_of_parameter(encoder).items()}
