"""Types of decoder-only models are read, cut and given rates like an encoder."""

import copy

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel

from layerscope.jobs.encoders.architecture import keep_layers, layer_of_parameter
from layerscope.jobs.encoders.hidden_states import pooled_layers

SHAPE = {
    "vocab_size": 100,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 3,
}
GROUPED = {"num_key_value_heads": 2, "head_dim": 16}
OWN = {
    "bloom": {},
    "falcon": {},
    "gpt2": {},
    "gpt_bigcode": {},
    "gpt_neo": {"num_layers": 3, "num_heads": 2, "attention_types": [[["global"], 3]]},
    "gpt_neox": {},
    "gptj": {"rotary_dim": 8},
    "mixtral": GROUPED | {"num_local_experts": 2},
    "opt": {"ffn_dim": 64, "word_embed_proj_dim": 32},
    "phi": {},
}
"""What a type's configuration has in place of grouped heads."""
DECODERS = (
    "bloom",
    "cohere",
    "falcon",
    "gemma",
    "gemma2",
    "gemma3_text",
    "gpt2",
    "gpt_bigcode",
    "gpt_neo",
    "gpt_neox",
    "gptj",
    "granite",
    "llama",
    "mistral",
    "mixtral",
    "olmo",
    "olmo2",
    "opt",
    "phi",
    "phi3",
    "qwen2",
    "qwen3",
    "smollm3",
    "stablelm",
    "starcoder2",
)
TEXTS = [[2, 7, 8, 9, 3], [2, 5, 3], [6]]


def decoder(kind: str):
    fields = SHAPE | OWN.get(kind, GROUPED)
    if kind == "gpt_neo":
        del fields["num_hidden_layers"], fields["num_attention_heads"]
    torch.manual_seed(0)
    model = AutoModel.from_config(AutoConfig.for_model(kind, **fields)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.mark.parametrize("kind", DECODERS)
def test_a_cut_decoder_gives_the_states_of_its_lower_layers(kind):
    whole = decoder(kind)
    cut = copy.deepcopy(whole)
    keep_layers(cut, 2)
    options = {"pooling": "last", "pad_id": 0, "device": "cpu"}
    expected, found = (pooled_layers(model, TEXTS, **options) for model in (whole, cut))
    assert (len(expected), len(found)) == (4, 3)
    for here, there in zip(expected, found, strict=False):
        np.testing.assert_allclose(there, here, atol=1e-5)
    depths = layer_of_parameter(whole)
    assert {1, 2, 3} <= set(depths.values()) <= {0, 1, 2, 3, 4}
    assert all("norm" in name or "ln_f" in name for name, depth in depths.items() if depth == 4)
    assert all("embed" in name or "wte" in name or "wpe" in name for name, d in depths.items() if d == 0)
