"""Annotated sentences become token ids, and their units the states of every layer."""

import numpy as np
import pytest
import torch

from layerscope.jobs import span_states, tokenise_annotations
from layerscope.jobs.artifacts.layers import read_layers
from layerscope.jobs.artifacts.sentences import read_annotated, read_annotated_labels
from layerscope.jobs.context import StageContext
from layerscope.jobs.encoders.loading import load_encoder
from layerscope.jobs.measures.probe import linear_stage as probe
from layerscope.jobs.measures.probe.specs import ProbeSpec
from layerscope.jobs.specs.annotations import SampleAnnotationsData, SpanStatesSpec, TokeniseAnnotationsSpec
from layerscope.jobs.text.tokenising.tokenizer import tokenizer_digest
from tests.jobs.tiny import make_context, write_encoder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return write_encoder(tmp_path_factory.mktemp("encoder") / "bert")


def annotated(folder, encoder, *, label="upos", max_length=60):
    folder.mkdir()
    data = SampleAnnotationsData(label=label, num_train=40, num_test=20)
    spec = TokeniseAnnotationsSpec(data=data, tokenizer=tokenizer_digest(encoder), max_length=max_length)
    metrics = tokenise_annotations.run(
        spec, StageContext(inputs={"tokenizer": encoder}, out=folder, scratch=folder)
    )
    return folder, metrics


def represented(folder, encoder, data, **sizes):
    context = make_context(folder, data=data, encoder=encoder)
    span_states.run(SpanStatesSpec(encoder="", **({"num_train": 200, "num_test": 80} | sizes)), context)
    return context.out


def slow_state(encoder, ids, spans):
    """States of every layer without batches or padding, a token after the other."""
    model = load_encoder(encoder).eval()
    with torch.inference_mode():
        states = model(input_ids=torch.tensor([list(ids)]), output_hidden_states=True).hidden_states
    return [
        np.concatenate(
            [sum(layer[0, at].numpy() for at in range(*span)) / (span[1] - span[0]) for span in spans]
        )
        for layer in states
    ]


@pytest.mark.parametrize("label", ["upos", "deprel", "role"])
def test_states_are_means_over_the_tokens_of_spans(encoder, tmp_path, label):
    data, _ = annotated(tmp_path / "data", encoder, label=label)
    test = read_layers(represented(tmp_path / "states", encoder, data), "test")
    split = read_annotated(data, "test")
    unit_by_id = {unit.id: unit for unit in split.units}
    for row in range(0, len(test.ids), 9):
        unit = unit_by_id[test.ids[row]]
        assert test.labels[row] == unit.label
        slow = slow_state(encoder, split.input_ids[unit.sentence], unit.spans)
        for layer, expected in zip(test.layers, slow, strict=True):
            # float32 sums of other batches and paddings
            np.testing.assert_allclose(layer[row], expected, atol=2e-5)


def test_units_are_drawn_once_and_only_so_many(encoder, tmp_path):
    data, metrics = annotated(tmp_path / "data", encoder)
    train = read_layers(represented(tmp_path / "states", encoder, data, num_train=50), "train")
    assert len(set(train.ids)) == len(train.ids) == 50 < metrics["train/units"]
    again = read_layers(represented(tmp_path / "again", encoder, data, num_train=30), "train")
    assert list(again.ids) == list(train.ids)[:30]


def test_sentences_that_are_too_long_are_left_out_and_counted(encoder, tmp_path):
    data, metrics = annotated(tmp_path / "data", encoder, max_length=30)
    assert metrics["train/sentences_too_long"] > 0
    assert max(map(len, read_annotated(data, "train").input_ids)) <= 30
    with pytest.raises(ValueError, match="train: no sentence with a labelled unit has at most 3 tokens"):
        annotated(tmp_path / "none", encoder, max_length=3)


def test_a_tag_can_be_read_off_the_layers(encoder, tmp_path):
    data, _ = annotated(tmp_path / "data", encoder)
    states = represented(tmp_path / "states", encoder, data, num_train=250, num_test=150)
    metrics = probe.run(ProbeSpec(), make_context(tmp_path / "probe", states=states))
    # Words of the sample corpus are in the vocabulary: their embeddings alone tell most tags.
    assert metrics["best_accuracy"] > metrics["majority_accuracy"] + 0.3
    assert "NOUN" in read_annotated_labels(data)
