import dataclasses
import json

import numpy as np
import pytest
import torch
from transformers import AutoModel

from layerscope.jobs import finetune, text_states
from layerscope.jobs.artifacts.layers import Part, read_layers, write_layers
from layerscope.jobs.artifacts.tokenised import read_split
from layerscope.jobs.kernels.similarity.cka import cka_map
from layerscope.jobs.measures.layer_dropping import tuned_head_stage as depth
from layerscope.jobs.measures.layer_dropping.specs import DepthSpec
from layerscope.jobs.measures.probe import linear_stage as probe
from layerscope.jobs.measures.probe.specs import ProbeSpec
from layerscope.jobs.measures.similarity import cka_stage as cka
from layerscope.jobs.measures.similarity.specs import CkaSpec
from layerscope.jobs.specs.stages import TextStatesSpec
from tests.jobs.tiny import curve, finetune_spec, make_context, planted, write_encoder, write_rows


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("layers")
    texts, labels = planted(160)
    return {
        "encoder": write_encoder(folder / "encoder"),
        "data": write_rows(folder / "task", texts, labels, num_held_out=40),
    }


@pytest.fixture(scope="module", params=["cls", "mean"])
def tuned(request, inputs, tmp_path_factory):
    """A fine-tuned encoder with its test accuracy, and its states on the whole test split."""
    folder = tmp_path_factory.mktemp("tuned")
    context = make_context(folder, train=True, **inputs)
    metrics = finetune.run(finetune_spec(epochs=8, pooling=request.param), context)
    states = extracted(
        folder / "states", inputs | {"model": context.out}, pooling=request.param, num_test=100
    )
    return context.out, metrics, states


def extracted(folder, inputs, **fields):
    context = make_context(folder, **inputs)
    fields = {"pooling": "mean", "num_train": 30, "num_test": 20} | fields
    text_states.run(TextStatesSpec(encoder="tiny", **fields), context)
    return context.out


def states_of(folder, *, train=60, test=40, num_layers=3, planted_in=(), seed=0):
    """Noise in every layer but those in which the label is planted."""
    random = np.random.default_rng(seed)
    parts = {}
    for name, size in (("train", train), ("test", test)):
        labels = np.arange(size) % 2
        layers = [random.normal(size=(size, 8)).astype(np.float32) for _ in range(num_layers)]
        for layer in planted_in:
            layers[layer][:, 3] += 6 * labels
        parts[name] = Part([f"{name} {row}" for row in range(size)], labels.tolist(), layers)
    folder.mkdir(parents=True)
    write_layers(folder, parts, num_labels=2)
    return folder


def test_extracted_rows_are_the_named_examples(inputs, tmp_path):
    context = make_context(tmp_path, **inputs)
    spec = TextStatesSpec(encoder="tiny", pooling="cls", num_train=30, num_test=20, seed=3)
    metrics = text_states.run(spec, context)
    assert metrics == {"layers": 3, "train/examples": 30, "test/examples": 20}
    encoder = AutoModel.from_pretrained(inputs["encoder"]).eval()
    for name in ("train", "test"):
        split, part = read_split(inputs["data"], name), read_layers(context.out, name)
        row_by_id = {identifier: row for row, identifier in enumerate(split.ids)}
        rows = [row_by_id[identifier] for identifier in part.ids]
        assert len(set(rows)) == len(part.layers[0])
        assert rows != sorted(rows)
        assert part.labels == [split.labels[row] for row in rows]
        for position in (0, 7):
            ids_BT = torch.tensor([split.texts[rows[position]]])
            with torch.inference_mode():
                states = encoder(ids_BT, output_hidden_states=True).hidden_states
            for layer_ND, hidden_BTD in zip(part.layers, states, strict=True):
                np.testing.assert_allclose(layer_ND[position], hidden_BTD[0, 0].numpy(), atol=2e-5)


def test_a_larger_sample_begins_with_the_smaller_one(inputs, tmp_path):
    small = read_layers(extracted(tmp_path / "a", inputs, num_test=10), "test")
    large = read_layers(extracted(tmp_path / "b", inputs, num_test=1000), "test")
    other = read_layers(extracted(tmp_path / "c", inputs, num_test=10, seed=1), "test")
    assert len(large.ids) == 40
    assert list(large.ids[:10]) == list(small.ids) != list(other.ids)


def test_the_probe_finds_what_is_planted_in_one_layer_only(tmp_path):
    context = make_context(tmp_path, states=states_of(tmp_path / "states", train=200, planted_in=[1]))
    metrics = probe.run(ProbeSpec(), context)
    accuracy = curve(context, "accuracy")
    assert list(accuracy) == [0, 1, 2]
    assert accuracy[1] > 0.9
    # 40 coin flips exceed 30 once in a thousand times.
    assert max(accuracy[0], accuracy[2]) < 0.75
    assert metrics == {"best_layer": 1, "best_accuracy": accuracy[1], "majority_accuracy": 0.5}
    assert curve(context, "macro_f1")[1] > 0.9


def test_cka_within_a_model_is_the_map_of_its_test_states(tmp_path):
    states = states_of(tmp_path / "states")
    context = make_context(tmp_path, states=states)
    metrics = cka.run(CkaSpec(against="itself"), context)
    similarity_LL = np.load(context.out / "similarity.npy")
    assert metrics == {"mean_next_layer": pytest.approx(np.diagonal(similarity_LL, offset=1).mean())}
    np.testing.assert_array_equal(similarity_LL, cka_map(read_layers(states, "test").layers))
    assert curve(context, "next_layer") == {0: similarity_LL[0, 1], 1: similarity_LL[1, 2]}


def test_cka_against_the_start_has_the_tuned_layers_as_rows(tmp_path):
    states, other = states_of(tmp_path / "states"), states_of(tmp_path / "other", num_layers=3, seed=1)
    context = make_context(tmp_path, states=states, other=other)
    cka.run(CkaSpec(against="start", debiased=False), context)
    similarity_LL = np.load(context.out / "similarity.npy")
    assert similarity_LL.dtype == np.float64
    expected_LL = cka_map(
        read_layers(states, "test").layers, read_layers(other, "test").layers, debiased=False
    )
    np.testing.assert_array_equal(similarity_LL, expected_LL)
    assert curve(context, "same_layer") == dict(enumerate(np.diagonal(similarity_LL)))


def test_a_tuned_model_that_was_cut_is_compared_over_the_common_depth(tmp_path):
    states, other = states_of(tmp_path / "states"), states_of(tmp_path / "other", num_layers=5, seed=1)
    context = make_context(tmp_path, states=states, other=other)
    metrics = cka.run(CkaSpec(against="start"), context)
    similarity_LL = np.load(context.out / "similarity.npy")
    assert similarity_LL.shape == (3, 5)
    assert curve(context, "same_layer") == {layer: similarity_LL[layer, layer] for layer in range(3)}
    assert metrics == {"mean_same_layer": pytest.approx(np.diagonal(similarity_LL).mean())}


def test_a_layer_that_is_the_same_for_all_texts_is_left_out_of_the_curve(tmp_path):
    # Pooled by the first token, the embeddings are those of the same special token in every text.
    states = states_of(tmp_path / "states")
    parts = {name: read_layers(states, name) for name in ("train", "test")}
    for part in parts.values():
        part.layers[0][:] = 1.5
    write_layers(states, parts, num_labels=2)
    context = make_context(tmp_path, states=states)
    cka.run(CkaSpec(against="itself"), context)
    assert list(curve(context, "next_layer")) == [1]
    assert np.isnan(np.load(context.out / "similarity.npy")[0]).all()


def test_cka_refuses_other_examples(tmp_path):
    states, other = states_of(tmp_path / "states"), states_of(tmp_path / "other")
    part = read_layers(other, "test")
    turned = dataclasses.replace(part, ids=list(part.ids)[::-1])
    write_layers(other, {"train": read_layers(other, "train"), "test": turned}, num_labels=2)
    context = make_context(tmp_path, states=states, other=other)
    with pytest.raises(ValueError, match="not the same examples in the same order"):
        cka.run(CkaSpec(against="start"), context)
    assert not list(context.out.iterdir())


def test_all_layers_kept_have_the_accuracy_of_the_fine_tuned_model(tuned, tmp_path):
    model, metrics, states = tuned
    context = make_context(tmp_path, states=states, model=model)
    found = depth.run(DepthSpec(), context)
    assert found == {"full_accuracy": metrics["test/accuracy"]}
    accuracy, f1 = curve(context, "accuracy"), curve(context, "macro_f1")
    assert list(accuracy) == list(f1) == [0, 1, 2]
    assert accuracy[2] == metrics["test/accuracy"] > 0.75
    assert f1[2] == metrics["test/macro_f1"]


def test_a_sample_of_the_test_split_has_the_predictions_of_the_artifact(tuned, inputs, tmp_path):
    model, _, states = tuned
    stored = json.loads((model / "test_predictions.json").read_text())
    part = read_layers(states, "test")
    small = {
        name: dataclasses.replace(
            part, ids=part.ids[:15], labels=part.labels[:15], layers=[layer[:15] for layer in part.layers]
        )
        for name in ("train", "test")
    }
    (tmp_path / "small").mkdir()
    write_layers(tmp_path / "small", small, num_labels=2)
    context = make_context(tmp_path, states=tmp_path / "small", model=model)
    right_by_id = {
        identifier: label == prediction
        for identifier, label, prediction in zip(
            stored["ids"], stored["labels"], stored["predictions"], strict=True
        )
    }
    expected = np.mean([right_by_id[identifier] for identifier in part.ids[:15]])
    assert depth.run(DepthSpec(), context)["full_accuracy"] == expected
