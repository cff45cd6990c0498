import re

import pytest
from torch import nn
from transformers import AutoModel, BertModel

from layerscope.jobs.encoders.heads import Classifier
from layerscope.jobs.specs.recipe import Training
from layerscope.jobs.training.learning_rates import (
    CONVENTIONS,
    check_complete,
    group_table,
    groups_at_one_rate,
    parameter_groups,
)
from tests.jobs.tiny import MODELS

LAYERED = [name for name in MODELS if name != "albert"]
BASE, DECAY, NUM_LAYERS = 1e-3, 0.5, 2
BELOW = re.compile(r"embed|wte|wpe|relative_attention_bias|^encoder\.LayerNorm")
"""What stands below the first layer, by name: MPNet's relative attention bias and DeBERTa's relative
embeddings, which encoder.LayerNorm normalises, are read by every layer."""
TABLE = {
    # Multipliers of top layer, lowest of 12 and embeddings at .95, as published.
    "sun-code": (1.0, 0.569, 1.0),
    "sun-eq": (1.0, 0.569, 0.540),
    "revisit": (0.95, 0.540, 0.513),
    "electra": (0.9025, 0.513, 0.488),
    "timm": (0.95, 0.540, 0.513),
}


def slow_decays(name: str, convention: str, num_layers: int) -> int:
    """The slow obvious version: how often a parameter's rate is decayed, from its name."""
    at_top = {"sun-code": 0, "sun-eq": 0, "revisit": 1, "electra": 2, "timm": 1}[convention]
    if numbers := re.findall(r"(?:layers?|h)\.(\d+)\.", name):
        return at_top + num_layers - 1 - int(numbers[0])
    if BELOW.search(name):
        return 0 if convention == "sun-code" else at_top + num_layers
    return 0


def rate_by_name(groups) -> dict[str, float]:
    return {name: group.learning_rate for group in groups for name in group.names}


def groups_of(architecture: str, **training):
    encoder = AutoModel.from_config(MODELS[architecture]())
    head = nn.Linear(32, 3)
    return encoder, head, parameter_groups(encoder, head, Training(learning_rate=BASE, **training))


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("architecture", LAYERED)
def test_rates_are_those_of_the_names(architecture, convention):
    encoder, head, groups = groups_of(architecture, layer_decay=DECAY, decay_convention=convention)
    expected = {
        f"encoder.{name}": BASE * DECAY ** slow_decays(name, convention, NUM_LAYERS)
        for name, _ in encoder.named_parameters()
    }
    assert len(set(expected.values())) >= 2
    assert rate_by_name(groups) == expected | {"head.weight": BASE, "head.bias": BASE}
    named = {f"encoder.{name}": p for name, p in encoder.named_parameters()}
    named |= {f"head.{name}": p for name, p in head.named_parameters()}
    assert all(named[n] is p for g in groups for n, p in zip(g.names, g.parameters, strict=True))


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_twelve_layers_have_the_published_multipliers(convention):
    encoder = BertModel(MODELS["bert"](num_hidden_layers=12), add_pooling_layer=False)
    training = Training(learning_rate=1.0, layer_decay=0.95, decay_convention=convention)
    rates = rate_by_name(parameter_groups(encoder, nn.Linear(32, 3), training))
    names = ("encoder.layer.11.output.dense.bias", "encoder.layer.0.output.dense.bias")
    found = [rates[f"encoder.{name}"] for name in (*names, "embeddings.word_embeddings.weight")]
    # The table has three decimals.
    assert found == pytest.approx(TABLE[convention], abs=6e-4)
    assert rates["head.weight"] == 1.0


@pytest.mark.parametrize(
    ("convention", "rule", "num_decays"),
    [("sun-code", "decayed", 2), ("sun-eq", "base", 0), ("electra", "base", 0), ("electra", "decayed", 4)],
)
def test_the_rule_for_embeddings_can_be_replaced(convention, rule, num_decays):
    fields = {"layer_decay": DECAY, "decay_convention": convention}
    _, _, usual = groups_of("bert", **fields)
    _, _, replaced = groups_of("bert", **fields, embeddings_rate=rule)
    below = {name for name in rate_by_name(usual) if ".embeddings." in name}
    found = rate_by_name(replaced)
    assert {found[name] for name in below} == {BASE * DECAY**num_decays}
    assert {n: r for n, r in found.items() if n not in below} == {
        n: r for n, r in rate_by_name(usual).items() if n not in below
    }


@pytest.mark.parametrize("decay", [1.0, DECAY])
def test_the_head_may_have_a_rate_of_its_own(decay):
    _, _, groups = groups_of("bert", layer_decay=decay, head_learning_rate=0.25)
    rates = rate_by_name(groups)
    assert rates["head.weight"] == rates["head.bias"] == 0.25
    assert max(rate for name, rate in rates.items() if name.startswith("encoder.")) == BASE


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("architecture", LAYERED)
def test_biases_and_norms_have_no_weight_decay_nor_has_the_head_of_revisit(architecture, convention):
    _, _, groups = groups_of(architecture, layer_decay=DECAY, weight_decay=0.1, decay_convention=convention)
    for group in groups:
        for name, parameter in zip(group.names, group.parameters, strict=True):
            is_norm_or_bias = name.endswith("bias") or "norm" in name.lower() or "ln_" in name
            if parameter.ndim == 1:
                assert is_norm_or_bias and group.weight_decay == 0.0
            elif convention == "revisit" and (name.startswith("head.") or ".pooler." in name):
                assert group.weight_decay == 0.0
            else:
                assert group.weight_decay == 0.1


@pytest.mark.parametrize("decay", [1.0, DECAY])
@pytest.mark.parametrize("architecture", LAYERED)
def test_every_parameter_is_in_exactly_one_group(architecture, decay):
    encoder, head, groups = groups_of(architecture, layer_decay=decay)
    check_complete(groups, [*encoder.named_parameters(), *head.named_parameters()])
    found = [id(parameter) for group in groups for parameter in group.parameters]
    assert sorted(found) == sorted(id(p) for p in [*encoder.parameters(), *head.parameters()])


def test_a_frozen_parameter_is_in_no_group():
    encoder = AutoModel.from_config(MODELS["bert"]())
    encoder.embeddings.requires_grad_(False)
    model = Classifier(encoder, num_labels=2, pooling="mean")
    groups = parameter_groups(encoder, model.head, Training(layer_decay=DECAY))
    check_complete(groups, model.named_parameters())
    assert not any("embeddings" in name for name in rate_by_name(groups))


def test_a_parameter_that_falls_out_is_an_error():
    model = Classifier(AutoModel.from_config(MODELS["bert"]()), num_labels=2, pooling="mean")
    groups = parameter_groups(model.encoder, model.head, Training())
    check_complete(groups, model.named_parameters())
    model.temperature = nn.Parameter(model.head.bias.detach().clone())
    with pytest.raises(ValueError, match="in no parameter group, so never trained: temperature$"):
        check_complete(groups, model.named_parameters())


def test_a_parameter_in_two_groups_is_an_error():
    model = Classifier(AutoModel.from_config(MODELS["bert"]()), num_labels=2, pooling="mean")
    model.head.weight = nn.Parameter(model.encoder.embeddings.token_type_embeddings.weight)
    model.encoder.embeddings.token_type_embeddings.weight = model.head.weight
    groups = parameter_groups(model.encoder, model.head, Training())
    with pytest.raises(
        ValueError, match=r"in more than one parameter group: .*token_type_embeddings.weight$"
    ):
        check_complete(groups, model.named_parameters())


def test_albert_shares_one_layer_so_it_has_one_rate_only():
    with pytest.raises(ValueError, match="AlbertModel has no list of 2 layers: .*ALBERT.*layer-wise"):
        groups_of("albert", layer_decay=0.9)
    encoder, _, groups = groups_of("albert", layer_decay=1.0)
    assert set(rate_by_name(groups).values()) == {BASE}
    assert sum(len(group.parameters) for group in groups) == len(list(encoder.parameters())) + 2


def test_the_convolution_of_deberta_belongs_to_its_first_layer():
    encoder = AutoModel.from_config(MODELS["deberta-v2"](conv_kernel_size=3, conv_act="gelu"))
    rates = rate_by_name(
        parameter_groups(encoder, nn.Linear(32, 3), Training(learning_rate=BASE, layer_decay=DECAY))
    )
    convolution = [rate for name, rate in rates.items() if ".conv." in name]
    assert len(convolution) == 4
    assert set(convolution) == {rates["encoder.encoder.layer.0.output.dense.weight"]} == {BASE * DECAY}


def test_the_table_names_every_group_with_its_numbers():
    _, _, groups = groups_of("bert", layer_decay=DECAY, weight_decay=0.1)
    lines = group_table(groups).splitlines()
    assert lines[0].split("  ")[0] == "parameter group"
    assert re.fullmatch(r"head +96 +0\.001 +0\.1", lines[1])
    assert re.fullmatch(r"head, no weight decay +3 +0\.001 +0", lines[2])
    (embeddings,) = (line for line in lines if line.startswith("embeddings  "))
    assert re.fullmatch(r"embeddings +14,144 +0\.00025 +0\.1", embeddings)
    assert len(lines) == 1 + len(groups)


def test_at_one_rate_only_matrices_decay():
    encoder = AutoModel.from_config(MODELS["bert"]())
    groups = groups_at_one_rate(encoder, learning_rate=BASE, weight_decay=0.1)
    check_complete(groups, encoder.named_parameters())
    assert [(group.learning_rate, group.weight_decay) for group in groups] == [(BASE, 0.1), (BASE, 0.0)]
    decaying, others = ({id(parameter) for parameter in group.parameters} for group in groups)
    for name, parameter in encoder.named_parameters():
        assert (id(parameter) in others) == ("LayerNorm" in name or name.endswith("bias"))
        assert (id(parameter) in decaying) != (id(parameter) in others)
