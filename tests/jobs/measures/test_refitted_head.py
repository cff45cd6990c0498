"""Heads fitted anew: what is planted in one layer is read there, and the stored heads say the same."""

import numpy as np

from layerscope.jobs.artifacts.layer_heads import read_layer_head
from layerscope.jobs.artifacts.layers import read_layers
from layerscope.jobs.measures.layer_dropping import refitted_head_stage as refit
from layerscope.jobs.measures.layer_dropping.specs import RefitSpec
from tests.jobs.test_layer_stages import states_of
from tests.jobs.tiny import curve, make_context


def test_a_label_planted_in_one_layer_is_read_with_its_head(tmp_path):
    states = states_of(tmp_path / "states", train=200, planted_in=[1])
    context = make_context(tmp_path, states=states)
    metrics = refit.run(RefitSpec(), context)
    accuracy = curve(context, "accuracy")
    assert list(accuracy) == list(curve(context, "macro_f1")) == [0, 1, 2]
    assert accuracy[1] > 0.9
    # 40 coin flips exceed 30 once in a thousand times.
    assert max(accuracy[0], accuracy[2]) < 0.75
    assert metrics == {"full_accuracy": accuracy[2], "train/examples": 200}


def test_the_stored_heads_are_those_that_were_scored(tmp_path):
    states = states_of(tmp_path / "states", train=200, planted_in=[1])
    context = make_context(tmp_path, states=states)
    refit.run(RefitSpec(), context)
    test = read_layers(states, "test")
    for layer, states_ND in enumerate(test.layers):
        weight_KD, bias_K = read_layer_head(context.out, layer)
        predictions_N = (states_ND @ weight_KD.T + bias_K).argmax(axis=1)
        assert np.mean(predictions_N == test.labels) == curve(context, "accuracy")[layer]
