import json
import os

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer, BertModel

from layerscope.jobs.encoders.loading import load_encoder, load_for_pretraining, save_encoder
from tests.jobs.tiny import CONFIGS, write_encoder, write_tokenizer

IDS_BT = torch.tensor([[2, 7, 8, 9, 3], [2, 10, 11, 12, 3]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_encoder(tmp_path_factory.mktemp("loading") / "encoder")


def states(encoder) -> torch.Tensor:
    with torch.inference_mode():
        return encoder.eval()(IDS_BT).last_hidden_state


def test_a_stored_pooler_is_left_out(tmp_path):
    BertModel(CONFIGS["bert"]()).save_pretrained(tmp_path)
    assert any("pooler" in name for name in load_file(tmp_path / "model.safetensors"))
    assert not any("pooler" in name for name, _ in load_encoder(tmp_path).named_parameters())


def test_weights_that_no_encoder_has_do_not_disturb(folder, tmp_path):
    weights = load_file(folder / "model.safetensors")
    assert any(name.startswith("cls.") for name in weights)
    save_file(weights | {"classifier.weight": torch.ones(3, 32)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    assert torch.equal(states(load_encoder(tmp_path)), states(load_encoder(folder)))


def test_half_precision_weights_are_loaded_in_float32(folder, tmp_path):
    load_encoder(folder).half().save_pretrained(tmp_path)
    assert {parameter.dtype for parameter in load_encoder(tmp_path).parameters()} == {torch.float32}


def test_a_saved_encoder_loads_with_transformers_and_gives_the_same_states(folder, tmp_path):
    encoder = load_encoder(folder)
    save_encoder(encoder, tmp_path, tokenizer_from=folder)
    assert torch.equal(states(AutoModel.from_pretrained(tmp_path)), states(encoder))
    text = "the meal was wonderful"
    again, before = (AutoTokenizer.from_pretrained(place)(text).input_ids for place in (tmp_path, folder))
    assert again == before
    assert len(before) > 4
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == ["BertModel"]


def test_a_saved_encoder_can_be_pretrained_further(folder, tmp_path):
    save_encoder(load_encoder(folder), tmp_path, tokenizer_from=folder)
    model = load_for_pretraining(tmp_path, next_sentence=False)
    assert torch.equal(states(model.bert), states(load_encoder(folder)))


class _Harm:
    def __reduce__(self):
        return os.mkdir, (os.environ["LAYERSCOPE_TEST_HARM"],)


def test_code_in_a_pickle_of_weights_is_not_run(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("LAYERSCOPE_TEST_HARM", str(tmp_path / "harm"))
    model = tmp_path / "model"
    load_encoder(folder).save_pretrained(model)
    weights = load_file(model / "model.safetensors")
    (model / "model.safetensors").unlink()
    torch.save(weights, model / "pytorch_model.bin")
    assert torch.equal(states(load_encoder(model)), states(load_encoder(folder)))
    torch.save(weights | {"harm": _Harm()}, model / "pytorch_model.bin")
    with pytest.raises(Exception, match="[Ww]eights.only"):
        load_encoder(model)
    assert not (tmp_path / "harm").exists()


def test_a_folder_with_a_vocabulary_only_keeps_it(tmp_path):
    source, out = write_encoder(tmp_path / "source"), tmp_path / "out"
    (source / "vocab.txt").write_text("[PAD]\n", encoding="utf-8")
    save_encoder(load_encoder(source), out, tokenizer_from=source)
    assert (out / "vocab.txt").read_text(encoding="utf-8") == "[PAD]\n"
    assert not (out / "merges.txt").exists()


def test_the_tiny_tokenizer_is_the_same_each_time(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_tokenizer(tmp_path / name)
    assert (tmp_path / "a" / "tokenizer.json").read_bytes() == (
        tmp_path / "b" / "tokenizer.json"
    ).read_bytes()
