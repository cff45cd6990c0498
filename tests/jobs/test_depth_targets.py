"""Layers of models of numbers, choices and labels of spans: extracted, dropped, refitted and probed."""

import json

import numpy as np
import pytest

from layerscope.jobs import span_states, text_states
from layerscope.jobs.artifacts.layer_heads import read_layer_head
from layerscope.jobs.artifacts.layers import Part, read_layers, read_num_labels, write_layers
from layerscope.jobs.artifacts.tokenised import read_split
from layerscope.jobs.encoders.head_files import load_classifier
from layerscope.jobs.measures.layer_dropping import refitted_head_stage as refit
from layerscope.jobs.measures.layer_dropping import tuned_head_stage as depth
from layerscope.jobs.measures.layer_dropping.specs import DepthSpec, RefitSpec
from layerscope.jobs.measures.probe import linear_stage as probe
from layerscope.jobs.measures.probe.specs import ProbeSpec
from layerscope.jobs.measures.similarity import cka_stage as cka
from layerscope.jobs.measures.similarity import further_stage as similarity
from layerscope.jobs.measures.similarity.further_stage import word_counts
from layerscope.jobs.measures.similarity.specs import CkaSpec, SimilaritySpec
from layerscope.jobs.specs.annotations import SpanStatesSpec
from layerscope.jobs.specs.stages import Columns, TextStatesSpec
from layerscope.jobs.text.reading.candidates import candidates_of
from tests.jobs.test_finetune_targets import (
    choices,
    logits_of,
    marked,
    numbers,
    prepared,
    spans,
    tuned,
    write,
)
from tests.jobs.tiny import NO_DROPOUT, curve, make_context, names_of_curves, write_encoder

KINDS = {
    "number": (numbers, {"predict": "number"}, {}),
    "choice": (choices, {"columns": Columns(choices="choices")}, {"choices_apart": True}),
}
USUAL = {"number": "pearson_spearman", "choice": "accuracy"}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return write_encoder(tmp_path_factory.mktemp("depths") / "encoder", **NO_DROPOUT)


@pytest.fixture(scope="module", params=KINDS)
def measured(request, encoder, tmp_path_factory):
    """The target, the data, the fine-tuning with its metrics, and the states of its layers."""
    folder = tmp_path_factory.mktemp(request.param)
    make, fields, apart = KINDS[request.param]
    data = prepared(folder, encoder, write(folder / "rows", make, num_train=240), **fields)
    context, metrics = tuned(folder, encoder, data)
    states = make_context(folder / "states", data=data, model=context.out)
    spec = TextStatesSpec(encoder="tiny", pooling="mean", num_train=200, num_test=60, **apart)
    found = text_states.run(spec, states)
    assert found == {"layers": 3, "train/examples": 192, "test/examples": 60}
    return request.param, data, context, metrics, states.out


def test_with_all_layers_the_tuned_head_scores_as_the_model_does(measured, tmp_path):
    target, _, tuned_context, metrics, states = measured
    context = make_context(tmp_path, states=states, model=tuned_context.out)
    found = depth.run(DepthSpec(target=target), context)
    usual = USUAL[target]
    # The states of a text are float32 sums over another batch.
    assert found == {f"full_{usual}": pytest.approx(metrics[f"test/{usual}"], abs=1e-5)}
    kept = curve(context, usual)
    assert list(kept) == [0, 1, 2]
    assert kept[2] == found[f"full_{usual}"] > 0.75


def test_a_refitted_head_is_scored_as_it_is_stored(measured, tmp_path):
    target, _, _, _, states = measured
    context = make_context(tmp_path, states=states)
    metrics = refit.run(RefitSpec(target=target), context)
    scores = curve(context, USUAL[target])
    assert metrics == {f"full_{USUAL[target]}": scores[2], "train/examples": 192}
    assert scores[2] > 0.75
    weight_1D, bias_1 = read_layer_head(context.out, 1)
    part = read_layers(states, "test")
    logits = part.layers[1] @ weight_1D[0] + bias_1[0]
    if target == "choice":
        right_Q = np.asarray(part.labels).reshape(60, 3)[:, 0]
        assert np.mean(logits.reshape(60, 3).argmax(axis=1) == right_Q) == scores[1]
    else:
        assert np.corrcoef(logits, part.labels)[0, 1] == pytest.approx(curve(context, "pearson")[1])


def test_a_linear_probe_reads_what_a_refitted_head_does(measured, tmp_path):
    target, _, _, _, states = measured
    probed, refitted = (make_context(tmp_path / name, states=states) for name in ("probe", "refit"))
    metrics = probe.run(ProbeSpec(target=target), probed)
    refit.run(RefitSpec(target=target), refitted)
    scores = curve(probed, USUAL[target])
    assert scores == curve(refitted, USUAL[target])
    best = int(metrics["best_layer"])
    assert metrics[f"best_{USUAL[target]}"] == scores[best] == max(scores.values())


def test_rows_of_choices_are_paired_by_their_ids(measured, tmp_path):
    target, data, tuned_context, _, states = measured
    part = read_layers(states, "test")
    split = read_split(data, "test")
    place_by_id = {id: place for place, id in enumerate(split.ids)}
    if target == "number":
        assert [part.labels[row] for row in range(60)] == [split.labels[place_by_id[id]] for id in part.ids]
        return
    assert read_num_labels(states) == 3
    questions = [id.rpartition(":")[0] for id in part.ids]
    assert [id.rpartition(":")[2] for id in part.ids] == ["0", "1", "2"] * 60
    assert questions[0] == questions[1] == questions[2] and len(set(questions)) == 60
    assert list(part.labels) == [split.labels[place_by_id[question]] for question in questions]
    # The head's score of each row is the logit that the whole model gives that choice.
    head = load_classifier(tuned_context.out).head.weight.detach().numpy()
    rows = [place_by_id[question] for question in questions[::3]]
    found = (part.layers[-1] @ head[0]).reshape(60, 3)
    np.testing.assert_allclose(found, logits_of(tuned_context, data)[rows], atol=1e-4)
    assert part.rows_per_example == 3
    compared = make_context(tmp_path / "compared", states=states)
    similarity.run(SimilaritySpec(measure="cka", against="itself"), compared)
    assert len(curve(compared, "next_layer/low")) == 2
    halved = make_context(tmp_path / "halved", states=states)
    similarity.run(SimilaritySpec(measure="rbf", against="itself"), halved)
    assert curve(halved, "next_layer") and "next_layer/low" not in names_of_curves(halved)
    own = make_context(tmp_path, states=states, other=states)
    cka.run(CkaSpec(against="start"), own)
    assert curve(own, "same_layer")[2] == pytest.approx(1)
    counts = word_counts(data, part.ids)
    assert counts.sum(axis=1).tolist() == [
        len(text) for row in rows for text in candidates_of(split.rows([row])).texts
    ]


def planted(folder, *, planted_in, num_choices=4, seed=0):
    """Choices, three layers of noise; in one the right choice stands out in one direction."""
    random = np.random.default_rng(seed)
    parts = {}
    for name in ("train", "test"):
        right_Q = random.integers(num_choices, size=200)
        layers = random.normal(size=(3, 200, num_choices, 8)).astype(np.float32)
        layers[planted_in, np.arange(200), right_Q, 2] += 6
        labels = np.repeat(right_Q, num_choices).tolist()
        ids = [f"{name} {row}" for row in range(len(labels))]
        parts[name] = Part(ids, labels, list(layers.reshape(3, -1, 8)))
    folder.mkdir(parents=True)
    write_layers(folder, parts, num_labels=num_choices)
    return folder


def test_a_choice_planted_in_one_layer_is_found_there_alone(tmp_path):
    context = make_context(tmp_path, states=planted(tmp_path / "states", planted_in=1))
    refit.run(RefitSpec(target="choice"), context)
    accuracy = curve(context, "accuracy")
    assert accuracy[1] > 0.9
    # 200 guesses of one in four are right in more than 35 % once in a thousand times.
    assert max(accuracy[0], accuracy[2]) < 0.35


@pytest.mark.slow
def test_layers_are_dropped_where_two_spans_are_compared(encoder, tmp_path):
    data = marked(tmp_path, encoder, write(tmp_path / "rows", spans, num_train=300))
    context, metrics = tuned(tmp_path, encoder, data, epochs=20)
    states = make_context(tmp_path / "states", data=data, model=context.out)
    span_states.run(SpanStatesSpec(encoder="tiny", num_train=300, num_test=60), states)
    assert read_layers(states.out, "test").layers[0].shape == (60, 64)
    kept = make_context(tmp_path / "depth", states=states.out, model=context.out)
    assert depth.run(DepthSpec(), kept)["full_accuracy"] == metrics["test/accuracy"]
    anew = make_context(tmp_path / "refit", states=states.out)
    assert refit.run(RefitSpec(), anew)["full_accuracy"] > 0.85
    assert json.loads((context.out / "head.json").read_text())["num_spans"] == 2


def test_every_metric_of_labels_is_logged(tmp_path):
    random = np.random.default_rng(0)
    labels = (np.arange(60) % 2).tolist()
    layers = [random.normal(size=(60, 4)).astype(np.float32)]
    (tmp_path / "states").mkdir()
    parts = {name: Part([f"{name} {row}" for row in range(60)], labels, layers) for name in ("train", "test")}
    write_layers(tmp_path / "states", parts, num_labels=2)
    context = make_context(tmp_path, states=tmp_path / "states")
    refit.run(RefitSpec(), context)
    assert all(list(curve(context, name)) == [0] for name in ("accuracy", "macro_f1", "matthews", "f1"))
