import re

import pytest
import torch
from torch import nn
from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForPreTraining

from jobs.encoders.learning_rates import parameter_groups
from jobs.encoders.loading import load_encoder
from jobs.encoders.pretraining_losses import PretrainingLosses
from jobs.specs.recipe import Training
from tests.jobs.tiny import CONFIGS, NO_DROPOUT, write_encoder

LAYERED = [name for name in CONFIGS if name != "albert"]
DECAY = 0.5
NUM_LAYERS = 2
BELOW = re.compile(r"embed|relative_attention_bias")
"""What stands below the first layer, by name; the relative attention bias of MPNet is read by every layer."""


def depth_by_name(name: str) -> int:
    """The slow obvious version: depth of a parameter from its name."""
    if numbers := re.findall(r"layers?\.(\d+)\.", name):
        return int(numbers[0]) + 1
    return 0 if BELOW.search(name) else NUM_LAYERS


def groups_of(architecture: str, head: nn.Module, **training):
    encoder = AutoModel.from_config(CONFIGS[architecture]())
    return encoder, parameter_groups(encoder, head, Training(learning_rate=1e-3, **training))


@pytest.mark.parametrize("architecture", LAYERED)
@pytest.mark.parametrize("decay", [DECAY, 1.0])
def test_every_parameter_is_in_exactly_one_group(architecture, decay):
    head = nn.Linear(32, 3)
    encoder, groups = groups_of(architecture, head, layer_decay=decay)
    found = [id(parameter) for group in groups for parameter in group.parameters]
    assert sorted(found) == sorted(id(p) for p in [*encoder.parameters(), *head.parameters()])


@pytest.mark.parametrize("architecture", LAYERED)
def test_rates_fall_by_the_factor_from_layer_to_layer(architecture):
    head = nn.Linear(32, 3)
    encoder, groups = groups_of(architecture, head, layer_decay=DECAY)
    rate_by_id = {id(parameter): group.learning_rate for group in groups for parameter in group.parameters}
    expected = {
        name: 1e-3 * DECAY ** (NUM_LAYERS - depth_by_name(name)) for name, _ in encoder.named_parameters()
    }
    assert {name: rate_by_id[id(p)] for name, p in encoder.named_parameters()} == expected
    assert set(expected.values()) == {1e-3, 5e-4, 2.5e-4}
    assert {rate_by_id[id(parameter)] for parameter in head.parameters()} == {1e-3}


@pytest.mark.parametrize("architecture", CONFIGS)
def test_biases_and_norms_have_no_weight_decay(architecture):
    _, groups = groups_of(architecture, nn.Linear(32, 3), weight_decay=0.1)
    for group in groups:
        axes = {parameter.ndim > 1 for parameter in group.parameters}
        assert axes == {group.weight_decay == 0.1}
    assert {group.weight_decay for group in groups} == {0.0, 0.1}


def test_albert_shares_one_layer_so_it_has_one_rate_only():
    with pytest.raises(ValueError, match="AlbertModel has no list of 2 layers: .*ALBERT.*layer-wise"):
        groups_of("albert", nn.Linear(32, 3), layer_decay=0.9)
    encoder, groups = groups_of("albert", nn.Linear(32, 3), layer_decay=1.0)
    assert {group.learning_rate for group in groups} == {1e-3}
    assert sum(len(group.parameters) for group in groups) == len(list(encoder.parameters())) + 2


@pytest.mark.parametrize("architecture", CONFIGS)
def test_every_weight_of_a_loaded_encoder_is_used(architecture, tmp_path):
    encoder = load_encoder(write_encoder(tmp_path / "encoder", architecture=architecture))
    encoder(torch.tensor([[2, 7, 8, 9, 3]])).last_hidden_state.square().sum().backward()
    assert [name for name, parameter in encoder.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("architecture", CONFIGS)
def test_the_masked_loss_is_the_one_of_transformers(architecture):
    torch.manual_seed(0)
    model = AutoModelForMaskedLM.from_config(CONFIGS[architecture]()).eval()
    ids_BT = torch.randint(5, 60, (3, 9))
    mask_BT = torch.ones_like(ids_BT)
    ids_BT[1, 6:], mask_BT[1, 6:] = 0, 0
    labels_BT = torch.where(torch.rand(ids_BT.shape) < 0.4, torch.randint(5, 60, ids_BT.shape), -100)
    labels_BT[1, 6:] = -100
    batch = {"input_ids": ids_BT, "attention_mask": mask_BT, "labels": labels_BT}
    own = PretrainingLosses(model)(batch)
    whole = model(input_ids=ids_BT, attention_mask=mask_BT, labels=labels_BT).loss
    # The same sums in another order, in float32.
    assert own.item() == pytest.approx(whole.item(), abs=1e-5)
    assert list(own.shape) == [1]


def test_the_losses_of_pairs_are_those_of_transformers():
    torch.manual_seed(0)
    model = AutoModelForPreTraining.from_config(CONFIGS["bert"]()).eval()
    batch = {
        "input_ids": torch.randint(5, 60, (3, 9)),
        "attention_mask": torch.ones(3, 9, dtype=torch.long),
        "labels": torch.randint(5, 60, (3, 9)),
        "token_type_ids": torch.tensor([[0] * 4 + [1] * 5] * 3),
        "next_sentence_label": torch.tensor([0, 1, 1]),
    }
    batch["labels"][:, ::2] = -100
    own, whole = PretrainingLosses(model)(batch), model(**batch).loss
    assert list(own.shape) == [2]
    # The same sums in another order, in float32.
    assert own.sum().item() == pytest.approx(whole.item(), abs=1e-5)


def test_a_batch_in_which_nothing_is_masked_has_loss_0_and_a_gradient():
    model = PretrainingLosses(AutoModelForMaskedLM.from_config(CONFIGS["bert"](**NO_DROPOUT)))
    ids_BT = torch.randint(5, 60, (2, 6))
    mask_BT, labels_BT = torch.ones_like(ids_BT), torch.full_like(ids_BT, -100)
    loss = model({"input_ids": ids_BT, "attention_mask": mask_BT, "labels": labels_BT})[0]
    loss.backward()
    assert loss.item() == 0
    assert all(p.grad is not None and not p.grad.any() for p in model.parameters() if p.requires_grad)
