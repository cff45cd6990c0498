"""Exported models of numbers and choices: the lines of their card give what was predicted before."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForMultipleChoice,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    pipeline,
)

from layerscope.jobs import text_states
from layerscope.jobs.artifacts.tokenised import read_split
from layerscope.jobs.encoders.head_files import load_classifier, save_head
from layerscope.jobs.encoders.heads import Classifier
from layerscope.jobs.encoders.loading import load_encoder, save_encoder
from layerscope.jobs.measures.layer_dropping import refitted_head_stage as refit
from layerscope.jobs.measures.layer_dropping import tuned_head_stage as depth
from layerscope.jobs.measures.layer_dropping.specs import DepthSpec, RefitSpec
from layerscope.jobs.model_card import snippet
from layerscope.jobs.specs.stages import Columns, TextStatesSpec
from layerscope.jobs.text.tokenising.inputs import inputs_of
from tests.jobs.test_export import exported
from tests.jobs.test_finetune_targets import choices, numbers, prepared, stored, tuned, write
from tests.jobs.tiny import NO_DROPOUT, curve, make_context, write_encoder

KINDS = {
    "number": (numbers, {"predict": "number"}, "pearson_spearman"),
    "choice": (choices, {"columns": Columns(choices="choices")}, "accuracy"),
}


@pytest.fixture(scope="module", params=KINDS)
def model(request, tmp_path_factory):
    """The target, the rows of its test split, its data, a fine-tuning and the states of its layers."""
    folder = tmp_path_factory.mktemp(request.param)
    make, fields, _ = KINDS[request.param]
    encoder = write_encoder(folder / "encoder", **NO_DROPOUT)
    paths = write(folder / "rows", make, num_train=240)
    data = prepared(folder, encoder, paths, **fields)
    context, _ = tuned(folder, encoder, data)
    states = make_context(folder / "states", data=data, model=context.out)
    apart = request.param == "choice"
    spec = TextStatesSpec(encoder="tiny", pooling="mean", num_train=200, num_test=60, choices_apart=apart)
    text_states.run(spec, states)
    rows = [json.loads(line) for line in paths["test"].read_text().splitlines()]
    return request.param, rows, data, context, states.out


def answers(folder, facts, rows):
    """What the lines of the card give; nothing of this project takes part."""
    names = {"folder": str(folder), "texts": [row["text"] for row in rows]}
    if facts.target == "choice":
        names["choices"] = [row["choices"] for row in rows]
    with torch.inference_mode():
        exec(snippet(facts), names)
    return names["numbers" if facts.target == "number" else "chosen"]


def test_the_lines_of_the_card_predict_as_the_fine_tuned_model_did(model, tmp_path):
    target, rows, data, context, _ = model
    facts = exported(tmp_path / "out", context.out, data, layers=2)
    found = answers(tmp_path / "out", facts, rows)
    if target == "choice":
        assert found == stored(context)["predictions"]
    else:
        # The same sums in another order, in float32.
        np.testing.assert_allclose(found, stored(context)["predictions"], atol=1e-3)
    assert facts.score == pytest.approx(facts.score_before, abs=1e-5)
    assert (facts.target, facts.metric, facts.texts) == (target, KINDS[target][2], 60)
    loaded = AutoModelForTokenClassification.from_pretrained(tmp_path / "out")
    assert loaded.config.id2label == {0: target}
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"| {facts.metric} on 60 test texts | {facts.score:.4f} |" in card
    assert snippet(facts).rstrip() in card


@pytest.mark.parametrize("head", ["tuned", "refitted"])
def test_fewer_layers_score_as_the_measures_of_depth_promised(model, tmp_path, head):
    target, _, data, context, states = model
    measured = make_context(tmp_path / "measured", states=states, model=context.out)
    if head == "tuned":
        depth.run(DepthSpec(target=target), measured)
    else:
        refit.run(RefitSpec(target=target), measured)
    refitted = measured.out if head == "refitted" else None
    facts = exported(tmp_path / "out", context.out, data, layers=1, refitted=refitted)
    assert (facts.layers, facts.head) == (1, head)
    assert facts.score == pytest.approx(curve(measured, facts.metric)[1], abs=1e-5)


def test_auto_keeps_the_fewest_layers_within_the_tolerance_of_the_own_metric(model, tmp_path):
    _, _, data, context, _ = model
    facts = exported(tmp_path / "out", context.out, data, layers="auto", tolerance=0.99)
    assert facts.layers == 1


@pytest.fixture(scope="module", params=KINDS)
def task(request, tmp_path_factory):
    """The target, the rows of its test split and its data."""
    folder = tmp_path_factory.mktemp(f"{request.param} task")
    make, fields, _ = KINDS[request.param]
    paths = write(folder / "rows", make, num_train=40, num_test=30)
    data = prepared(folder, write_encoder(folder / "encoder"), paths, **fields)
    rows = [json.loads(line) for line in paths["test"].read_text().splitlines()]
    return request.param, rows, data


ALIKE = ("bert", "distilbert", "deberta-v2", "modernbert")
"""Their classes of texts and of choices have the same weights."""


def untrained(folder, architecture, target, pooling):
    """A fine-tuning's folder with random weights, large enough to tell rows apart."""
    encoder = write_encoder(folder / "encoder", architecture=architecture)
    torch.manual_seed(3)
    number = {"num_choices": 3} if target == "choice" else {}
    model = Classifier(load_encoder(encoder), num_labels=1, pooling=pooling, **number)
    torch.nn.init.normal_(model.head.weight)
    if model.head.bias is not None:
        torch.nn.init.constant_(model.head.bias, 0.7)
    (folder / "model").mkdir()
    save_encoder(model.encoder, folder / "model", tokenizer_from=encoder)
    save_head(model, folder / "model", labels=["0", "1", "2"] if target == "choice" else [])
    return folder / "model"


@pytest.mark.parametrize(
    ("architecture", "pooling", "of_numbers", "of_choices"),
    [
        ("bert", "cls", "texts", "choices"),
        ("bert", "pooler", "texts", "choices"),
        ("bert", "mean", "tokens", "tokens"),
        ("roberta", "cls", "texts", "choices"),
        ("roberta", "mean", "tokens", "tokens"),
        ("electra", "cls", "texts", "choices"),
        ("distilbert", "cls", "texts", "choices"),
        ("deberta-v2", "cls", "texts", "choices"),
        ("modernbert", "mean", "texts", "choices"),
        ("gpt2", "last", "texts", "texts"),
        ("llama", "last", "tokens", "texts"),
    ],
)
def test_the_class_that_people_load_answers_or_raises(
    task, tmp_path, architecture, pooling, of_numbers, of_choices
):
    target, rows, data = task
    model = untrained(tmp_path, architecture, target, pooling)
    facts = exported(tmp_path / "out", model, data, layers=2)
    assert facts.kind == {"number": of_numbers, "choice": of_choices}[target]
    test = read_split(data, "test")
    with torch.inference_mode():
        logits = load_classifier(model).eval()(*inputs_of(test, 0))
    expected = logits.argmax(-1).tolist() if target == "choice" else logits[:, 0].tolist()
    by_id = dict(zip(test.ids, expected, strict=True))
    in_order = [by_id[id] for id in sorted(test.ids, key=lambda id: int(id.rpartition(":")[2]))]
    found = answers(tmp_path / "out", facts, rows)
    # The same sums in another order, in float32, and for tanh what its bend does to them.
    np.testing.assert_allclose(found, in_order, atol=1e-3)
    assert len(set(found)) > 1
    folder = str(tmp_path / "out")
    if facts.kind == "texts" or (facts.kind == "choices" and architecture in ALIKE):
        found = answers(tmp_path / "out", replace(facts, kind="texts"), rows)
        np.testing.assert_allclose(found, in_order, atol=1e-3)
    else:
        with pytest.raises(RuntimeError, match="ignore_mismatched_sizes"):
            AutoModelForSequenceClassification.from_pretrained(folder)
        with pytest.raises(ValueError, match="Could not load model"):
            pipeline("text-classification", model=folder, tokenizer=folder)
    if target == "choice" and facts.kind != "choices" and architecture not in ("gpt2", "llama"):
        with pytest.raises(RuntimeError, match="ignore_mismatched_sizes"):
            AutoModelForMultipleChoice.from_pretrained(folder)
