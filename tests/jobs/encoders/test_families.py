"""Encoders of many families: each is found out and right, or refused in words, as the documents say."""

import pytest
import torch
from transformers.utils import logging

from layerscope.jobs.encoders.architecture import layer_of_parameter
from layerscope.jobs.encoders.facts import encoder_facts
from layerscope.jobs.specs.encoders import EncoderFacts
from tests.jobs.families import FAMILIES, documented, make_family, row_of_facts, row_of_refusal, write_family


@pytest.fixture(autouse=True)
def _quiet():
    logging.disable_progress_bar()


def test_every_documented_family_is_made_here():
    assert set(documented()) == set(FAMILIES)
    assert len(FAMILIES) >= 60


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.slow
def test_a_family_is_right_or_refused_as_documented(kind, tmp_path):
    folder = write_family(tmp_path / "encoder", kind)
    try:
        row = row_of_facts(kind, EncoderFacts.model_validate(encoder_facts(str(folder)), strict=False))
    except ValueError as error:
        row = row_of_refusal(kind, str(error))
    assert row == documented()[kind]


@pytest.mark.parametrize("kind", ["bert", "deberta-v2", "esm", "gpt_neo", "mpnet", "xlm", "xlnet"])
def test_a_parameter_changes_the_states_from_its_depth_on_and_none_below(kind):
    encoder = make_family(kind)
    depths, num_layers = layer_of_parameter(encoder), encoder.config.num_hidden_layers
    ids = torch.tensor([[7, 9, 8, 11, 10]])
    hidden = encoder(
        input_ids=ids, attention_mask=torch.ones_like(ids), output_hidden_states=True
    ).hidden_states
    for layer in range(num_layers):
        changed = {
            name
            for (name, parameter), gradient in zip(
                encoder.named_parameters(),
                torch.autograd.grad(
                    hidden[layer].square().sum(),
                    list(encoder.parameters()),
                    allow_unused=True,
                    retain_graph=True,
                ),
                strict=True,
            )
            if gradient is not None
        }
        assert changed <= {name for name, depth in depths.items() if depth <= layer}
        assert layer == 0 or {name for name in changed if depths[name] == layer}
