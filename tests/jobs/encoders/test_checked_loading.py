"""Weights that are missing, left over or mis-shaped are refused by name, wherever a model is loaded."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from layerscope.jobs.encoders.checked_loading import read_config
from layerscope.jobs.encoders.facts import encoder_facts
from layerscope.jobs.encoders.loading import load_encoder, load_for_pretraining
from tests.jobs.tiny import VOCABULARY, write_encoder, write_pooler

LOADERS = {
    "encoder": load_encoder,
    "masked": lambda folder: load_for_pretraining(folder, next_sentence=False),
    "sentences": lambda folder: load_for_pretraining(folder, next_sentence=True),
}


def change_weights(folder, change):
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path, metadata={"format": "pt"})


def change_config(folder, **fields):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.fixture(params=LOADERS)
def load(request):
    return LOADERS[request.param]


@pytest.fixture(params=["with a head", "bare"])
def folder(request, tmp_path):
    write = write_encoder if request.param == "with a head" else write_pooler
    return write(tmp_path / "encoder")


def test_a_folder_as_transformers_saves_it_is_loaded(load, folder):
    assert load(folder).base_model.config.num_hidden_layers == 2


def test_names_with_a_prefix_of_data_parallel_training_are_refused(load, folder):
    change_weights(folder, lambda weights: {f"module.{name}": value for name, value in weights.items()})
    said = r"are missing from the file, which has them under names that begin with module\..*LayerNorm.bias"
    with pytest.raises(ValueError, match=said):
        load(folder)


def test_more_layers_in_the_configuration_than_in_the_file_are_refused(load, folder):
    change_config(folder, num_hidden_layers=3)
    with pytest.raises(ValueError, match=r"16 are missing from the file \(.*encoder.layer.2.attention"):
        load(folder)


def test_fewer_layers_in_the_configuration_than_in_the_file_are_refused(load, folder):
    change_config(folder, num_hidden_layers=1)
    with pytest.raises(ValueError, match=r"16 have no place in the encoder.*encoder.layer.1.attention"):
        load(folder)


def test_a_single_weight_that_is_missing_is_refused(load, folder):
    change_weights(
        folder, lambda weights: {n: w for n, w in weights.items() if "layer.1.output.dense.bias" not in n}
    )
    with pytest.raises(
        ValueError, match=r"1 are missing from the file \((bert\.)?encoder.layer.1.output.dense.bias\)"
    ):
        load(folder)


def test_a_weight_of_another_shape_is_refused(load, folder):
    change_config(folder, vocab_size=VOCABULARY + 1)
    with pytest.raises(ValueError, match=r"word_embeddings.weight \(300, 32\) instead of \(301, 32\)"):
        load(folder)


def test_heads_and_poolers_that_are_stored_or_lacking_are_no_fault(tmp_path):
    with_head, bare = write_encoder(tmp_path / "head"), write_pooler(tmp_path / "bare")
    assert load_encoder(with_head) and load_encoder(bare)
    new = load_for_pretraining(bare, next_sentence=False)
    assert new.cls.predictions.decoder.weight is new.bert.embeddings.word_embeddings.weight


def test_old_names_of_constants_are_no_weights(tmp_path):
    folder = write_encoder(tmp_path / "encoder")
    change_weights(
        folder, lambda weights: weights | {"bert.embeddings.position_ids": torch.arange(140)[None]}
    )
    assert load_encoder(folder)


def test_weights_that_are_no_safetensors_are_refused_in_words(load, folder):
    (folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ValueError, match="the weights in .* cannot be read"):
        load(folder)


def test_a_weight_that_is_not_finite_is_named(load, folder):
    def broken(weights):
        weights[next(name for name in weights if name.endswith("layer.1.output.dense.bias"))][0] = torch.nan
        return weights

    change_weights(folder, broken)
    with pytest.raises(ValueError, match="not finite: .*encoder.layer.1.output.dense.bias"):
        load(folder)


def test_an_adapter_beside_the_weights_is_refused(load, folder):
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(ValueError, match="has a PEFT adapter .*merge_and_unload"):
        load(folder)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hidden_act", "nonsense"),
        ("hidden_dropout_prob", None),
        ("quantization_config", {"quant_method": "bitsandbytes", "load_in_8bit": True}),
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused_in_words(load, folder, field, value):
    change_config(folder, **{field: value})
    with pytest.raises(ValueError, match="config.json"):
        load(folder)


def test_a_configuration_that_is_no_json_is_named(tmp_path):
    folder = write_encoder(tmp_path / "encoder")
    (folder / "config.json").write_text("{")
    with pytest.raises(ValueError, match="config.json is not JSON"):
        load_encoder(folder)
    (folder / "config.json").write_text("[]")
    with pytest.raises(ValueError, match="config.json must hold a JSON object, not list"):
        load_encoder(folder)


def test_code_in_a_folder_is_refused_and_does_not_run(tmp_path):
    folder = write_encoder(tmp_path / "encoder")
    change_config(
        folder, model_type="new", auto_map={"AutoConfig": "own.NewConfig", "AutoModel": "own.NewModel"}
    )
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    for look in (read_config, load_encoder, lambda path: encoder_facts(str(path))):
        with pytest.raises(
            ValueError,
            match=r"has code of its own .*own.NewConfig, own.NewModel.* not run unless the experiment says so"
            rf".*, write \{{folder: {folder}, trust_remote_code: true\}} as the encoder",
        ):
            look(folder)
    assert not (tmp_path / "ran").exists()


def test_a_type_that_transformers_does_not_know_is_refused(tmp_path):
    folder = write_encoder(tmp_path / "encoder")
    change_config(folder, model_type="new")
    with pytest.raises(ValueError, match="config.json: .*`new`"):
        read_config(folder)


def test_a_tokenizer_with_more_tokens_than_embeddings_is_refused(tmp_path):
    folder = write_encoder(tmp_path / "encoder")
    settings = json.loads((folder / "tokenizer.json").read_text())
    settings["added_tokens"].append(settings["added_tokens"][0] | {"id": VOCABULARY, "content": "[TICKET]"})
    (folder / "tokenizer.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=r"'\[TICKET\]' is 300, and the table has 300 rows"):
        encoder_facts(str(folder))
