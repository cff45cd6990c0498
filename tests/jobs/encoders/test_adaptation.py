import math
import re

import pytest
import torch
from torch import nn
from transformers import AutoModel
from transformers.pytorch_utils import Conv1D

from layerscope.jobs.encoders.adaptation import Adaptation, reinitialise_top
from layerscope.jobs.encoders.architecture import layers_of
from layerscope.jobs.encoders.loading import load_encoder
from layerscope.jobs.specs.recipe import Training
from layerscope.jobs.training.learning_rates import check_complete, parameter_groups
from tests.jobs.tiny import MODELS, NO_DROPOUT, write_encoder

LAYERED = [name for name in MODELS if name != "albert"]
NORMS_ABOVE = ("final_norm.", "ln_f.", "norm.", "final_layer_norm.", "decoder.final_layer_norm.")
IDS_BT = torch.tensor([[2, 7, 8, 9, 3], [2, 10, 11, 12, 3]])


def encoder_of(architecture: str, *, seed: int = 0, **fields):
    torch.manual_seed(seed)
    return AutoModel.from_config(MODELS[architecture](**fields)).eval()


def weights_of(encoder) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in encoder.state_dict().items()}


def states(encoder) -> torch.Tensor:
    with torch.inference_mode():
        return encoder(IDS_BT).last_hidden_state


@pytest.mark.parametrize("architecture", LAYERED)
def test_only_what_stands_above_the_frozen_layers_is_trained(architecture):
    encoder = encoder_of(architecture)
    Adaptation(encoder, Training(frozen_layers=1), seed=0)
    trained = {name for name, parameter in encoder.named_parameters() if parameter.requires_grad}
    second = {id(parameter) for parameter in layers_of(encoder)[1].parameters()}
    beside = {name for name in trained if id(encoder.get_parameter(name)) not in second}
    assert len(trained) - len(beside) == len(second)
    assert all(name.startswith(("pooler.", *NORMS_ABOVE)) for name in beside)


@pytest.mark.parametrize("architecture", MODELS)
def test_a_whole_encoder_can_be_frozen(architecture):
    encoder = encoder_of(architecture)
    Adaptation(encoder, Training(frozen_layers="all"), seed=0)
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


@pytest.mark.parametrize("architecture", LAYERED)
def test_the_top_layers_begin_anew_and_nothing_else_does(architecture, tmp_path):
    folder = write_encoder(tmp_path / "encoder", architecture=architecture)
    encoder, again, other = (load_encoder(folder) for _ in range(3))
    before = weights_of(encoder)
    for each, seed in ((encoder, 1), (again, 1), (other, 2)):
        Adaptation(each, Training(reinitialised_layers=1), seed=seed)
    changed = {name for name, value in encoder.state_dict().items() if not torch.equal(value, before[name])}
    top = {name for name, part in encoder.named_parameters() if part.ndim > 1 and ".1." in name}
    assert changed == top
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in weights_of(encoder).items())
    assert not any(torch.equal(encoder.state_dict()[name], other.state_dict()[name]) for name in top)


def test_new_layers_are_drawn_as_the_encoder_draws_them(tmp_path):
    folder = write_encoder(tmp_path / "encoder", hidden_size=128, initializer_range=0.05)
    encoder = load_encoder(folder)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.fill_(7.0)
    state = torch.get_rng_state()
    reinitialise_top(encoder, 2, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    for layer in layers_of(encoder):
        weight = layer.attention.self.query.weight
        # 16384 draws: a deviation is known to 0.6 %.
        assert weight.std().item() == pytest.approx(0.05, rel=0.03)
        assert not layer.attention.self.query.bias.any()
        assert torch.equal(layer.output.LayerNorm.weight, torch.ones(128))
    assert (encoder.embeddings.word_embeddings.weight == 7).all()


@pytest.mark.parametrize("architecture", LAYERED)
def test_adapters_change_nothing_at_first_and_are_merged_into_a_plain_encoder(architecture):
    encoder = encoder_of(architecture)
    before, start = weights_of(encoder), states(encoder)
    adaptation = Adaptation(encoder, Training(lora_rank=2, lora_alpha=4.0), seed=0)
    assert torch.equal(states(encoder), start)
    for name, parameter in encoder.named_parameters():
        if parameter.requires_grad:
            assert "lora_" in name
            with torch.no_grad():
                parameter.copy_(torch.randn_like(parameter) * 0.2)
    adapted = states(encoder)
    adaptation.merge()
    assert list(encoder.state_dict()) == list(before)
    # The same sums in another order, in float32, of states of size 1.
    torch.testing.assert_close(states(encoder), adapted, atol=1e-5, rtol=0)
    assert (adapted - start).abs().max() > 0.02
    linear = {
        f"{name}.weight"
        for name, part in encoder.named_modules()
        if isinstance(part, nn.Linear | Conv1D) and re.search(r"(layers?|h)\.\d", name)
    }
    changed = {name for name, value in encoder.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == linear


def test_adapters_have_the_product_of_their_matrices_scaled_by_alpha_over_rank():
    encoder = encoder_of("bert")
    before = encoder.encoder.layer[0].attention.self.query.weight.detach().clone()
    adaptation = Adaptation(encoder, Training(lora_rank=2, lora_alpha=6.0), seed=0)
    adapted = encoder.encoder.layer[0].attention.self.query
    with torch.no_grad():
        adapted.lora_B["default"].weight.normal_()
    product = adapted.lora_B["default"].weight @ adapted.lora_A["default"].weight
    adaptation.merge()
    after = encoder.encoder.layer[0].attention.self.query.weight
    torch.testing.assert_close(after, before + 3.0 * product, atol=1e-6, rtol=0)


@pytest.mark.parametrize("architecture", LAYERED)
def test_adapters_have_the_rates_of_their_layers(architecture):
    encoder, head = encoder_of(architecture), nn.Linear(32, 3)
    training = Training(lora_rank=2, layer_decay=0.5, learning_rate=1e-3)
    Adaptation(encoder, training, seed=0)
    groups = parameter_groups(encoder, head, training)
    check_complete(groups, [*encoder.named_parameters(), *head.named_parameters()])
    found = {name: group.learning_rate for group in groups for name in group.names}
    assert {rate for name, rate in found.items() if ".1." in name} == {1e-3}
    assert {rate for name, rate in found.items() if ".0." in name} == {5e-4}
    assert {name for name in found if "lora_" not in name} == {"head.weight", "head.bias"}
    numbers = sum(p.numel() for group in groups for p in group.parameters)
    assert numbers < 0.5 * sum(p.numel() for p in encoder.parameters())


def test_dropout_stands_before_the_adapters():
    encoder = encoder_of("bert", **NO_DROPOUT)
    Adaptation(encoder, Training(lora_rank=2, lora_dropout=0.5), seed=0)
    adapted = encoder.encoder.layer[0].output.dense
    with torch.no_grad():
        adapted.lora_B["default"].weight.normal_()
    encoder.train()
    x = torch.ones(1, 64)
    assert not torch.equal(adapted(x), adapted(x))
    encoder.eval()
    assert torch.equal(adapted(x), adapted(x))


@pytest.mark.parametrize("factor", ["frozen_layers", "reinitialised_layers"])
def test_more_layers_than_there_are_are_refused(factor):
    with pytest.raises(ValueError, match=f"{factor}: must be at most 2, the layers of the encoder, not 3"):
        Adaptation(encoder_of("bert"), Training(**{factor: 3}), seed=0)


@pytest.mark.parametrize(
    "fields", [{"frozen_layers": 1}, {"reinitialised_layers": 1}, {"lora_rank": 2}], ids=str
)
def test_layers_that_share_their_weights_cannot_be_told_apart(fields):
    with pytest.raises(ValueError, match="AlbertModel has no list of 2 layers"):
        Adaptation(encoder_of("albert"), Training(**fields), seed=0)


def test_a_recipe_without_any_of_it_leaves_the_encoder_as_it_is():
    encoder = encoder_of("bert")
    before = weights_of(encoder)
    Adaptation(encoder, Training(), seed=0).merge()
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert all(parameter.requires_grad for parameter in encoder.parameters())
    assert math.isfinite(states(encoder).sum().item())
