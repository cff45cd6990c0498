"""Exported models of numbers and choices: the lines of their card give what was predicted before."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoModelForTokenClassification

from jobs import depth, extract, refit
from jobs.model_card import snippet
from jobs.specs.stages import Columns, DepthSpec, ExtractSpec, RefitSpec
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
    spec = ExtractSpec(encoder="tiny", pooling="mean", num_train=200, num_test=60, choices_apart=apart)
    extract.run(spec, states)
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
