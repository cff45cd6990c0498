"""A tiny encoder that is code of its own: two layers x 32 in two Python files beside its random weights."""

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.tiny import make_encoder

CONFIGURATION = """
from transformers import PretrainedConfig


class MineConfig(PretrainedConfig):
    model_type = "mine"

    def __init__(self, vocab_size=99, hidden_size=32, num_hidden_layers=2, pad_token_id=0, **others):
        super().__init__(pad_token_id=pad_token_id, **others)
        self.vocab_size, self.hidden_size = vocab_size, hidden_size
        self.num_hidden_layers, self.initializer_range = num_hidden_layers, 0.02
"""

MODELING = """
import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, MaskedLMOutput

from .configuration_mine import MineConfig

SCALE = 1.0


class Layer(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, width)

    def forward(self, state, seen):
        read = self.norm(state)
        scores = self.query(read) @ self.key(read).transpose(1, 2) / read.shape[-1] ** 0.5
        weights = scores.masked_fill(~seen[:, None], float("-inf")).softmax(-1)
        return state + SCALE * torch.tanh(self.out(weights @ self.value(read)))


class MinePreTrainedModel(PreTrainedModel):
    config_class = MineConfig
    base_model_prefix = "mine"


class MineModel(MinePreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config.hidden_size) for _ in range(config.num_hidden_layers))
        self.post_init()

    def get_input_embeddings(self):
        return self.embeddings

    def set_input_embeddings(self, value):
        self.embeddings = value

    def forward(self, input_ids, attention_mask=None, output_hidden_states=False, return_dict=True):
        seen = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        states = [self.embeddings(input_ids)]
        for layer in self.layers:
            states.append(layer(states[-1], seen.bool()))
        return BaseModelOutput(states[-1], tuple(states) if output_hidden_states else None)


class MineForMaskedLM(MinePreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.mine, self.head = MineModel(config), nn.Linear(config.hidden_size, config.vocab_size)
        self.post_init()

    def forward(self, input_ids, attention_mask=None, **_):
        return MaskedLMOutput(logits=self.head(self.mine(input_ids, attention_mask).last_hidden_state))
"""

TOKENIZATION = '''
from transformers import BertTokenizer


class MineTokenizer(BertTokenizer):
    """Reads every text without its exclamation marks."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        from tokenizers import normalizers

        rules = [normalizers.Replace("!", " "), self.backend_tokenizer.normalizer]
        self.backend_tokenizer.normalizer = normalizers.Sequence(rules)
'''

AUTO_MAP = {
    "AutoConfig": "configuration_mine.MineConfig",
    "AutoModel": "modeling_mine.MineModel",
    "AutoModelForMaskedLM": "modeling_mine.MineForMaskedLM",
}


def make_own_encoder(folder: Path, *, tokenizer_is_code: bool = False) -> Path:
    """The folder of such an encoder, with the tokenizer of `make_encoder`."""
    import torch
    from safetensors.torch import save_file

    plain = make_encoder(folder.with_name(f"{folder.name}-plain"))
    folder.mkdir(parents=True)
    for name in ("vocab.txt", "tokenizer_config.json"):
        shutil.copyfile(plain / name, folder / name)
    shutil.rmtree(plain)
    (folder / "configuration_mine.py").write_text(CONFIGURATION, encoding="utf-8")
    (folder / "modeling_mine.py").write_text(MODELING, encoding="utf-8")
    vocabulary = len((folder / "vocab.txt").read_text(encoding="utf-8").splitlines())
    shape = {"vocab_size": vocabulary, "hidden_size": 32, "num_hidden_layers": 2, "hidden_dropout_prob": 0.0}
    change_json(folder / "config.json", model_type="mine", auto_map=AUTO_MAP, architectures=["MineModel"])
    change_json(folder / "config.json", **shape)
    if tokenizer_is_code:
        (folder / "tokenization_mine.py").write_text(TOKENIZATION, encoding="utf-8")
        named = {"AutoTokenizer": [None, "tokenization_mine.MineTokenizer"]}
        change_json(folder / "tokenizer_config.json", tokenizer_class="MineTokenizer", auto_map=named)
    torch.manual_seed(0)
    weights = {"embeddings.weight": torch.randn(vocabulary, 32)}
    for layer in range(2):
        for part in ("query", "key", "value", "out"):
            weights[f"layers.{layer}.{part}.weight"] = torch.randn(32, 32) / 6
            weights[f"layers.{layer}.{part}.bias"] = torch.zeros(32)
        weights[f"layers.{layer}.norm.weight"] = torch.ones(32)
        weights[f"layers.{layer}.norm.bias"] = torch.zeros(32)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def change_json(path: Path, **changes: Any) -> None:
    """Set keys of a JSON file, which need not be there."""
    written = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps(written | changes), encoding="utf-8")


def in_hub_cache(cache: Path, name: str, commit: str, encoder: Path) -> Path:
    """A copy of the folder, as the Hub's cache has a repository at a commit that is `main`."""
    root = cache / f"models--{name.replace('/', '--')}"
    snapshot = root / "snapshots" / commit
    shutil.copytree(encoder, snapshot)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(commit, encoding="utf-8")
    return snapshot


@contextmanager
def modules_under(folder: Path) -> Iterator[None]:
    """transformers imports code of models from this folder, and has imported none before or afterwards."""
    import pytest

    with pytest.MonkeyPatch.context() as patch:
        for module in ("transformers.dynamic_module_utils", "transformers.utils"):
            patch.setattr(f"{module}.HF_MODULES_CACHE", str(folder))
        patch.setattr(sys, "path", [*sys.path])
        _forget_modules()
        yield
        _forget_modules()


def _forget_modules() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "transformers_modules"]:
        del sys.modules[name]
