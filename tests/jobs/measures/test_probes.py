"""Probes besides the linear one find what is planted, and controls what needs no knowledge."""

import numpy as np
import pytest
import torch
from transformers import AutoModel

from layerscope.jobs import random_encoder, text_states
from layerscope.jobs.artifacts.layers import read_layers
from layerscope.jobs.artifacts.sentences import read_annotated
from layerscope.jobs.measures.probe import control_stage as control_probe
from layerscope.jobs.measures.probe import description_length_stage as description_length
from layerscope.jobs.measures.probe import linear_stage as probe
from layerscope.jobs.measures.probe import mlp_stage as mlp_probe
from layerscope.jobs.measures.probe.specs import (
    ControlProbeSpec,
    DescriptionLengthSpec,
    MlpProbeSpec,
    Networks,
    ProbeSpec,
)
from layerscope.jobs.specs.stages import RandomEncoderSpec, TextStatesSpec
from layerscope.jobs.text.tokenising.word_types import word_types
from tests.jobs.clouds import clouds, write_states
from tests.jobs.tiny import curve, make_context, planted, write_encoder, write_rows
from tests.jobs.words import LABELS, write_word_states, write_words

FEW = Networks(sizes=((64, 64), (128, 64)), decays=(1e-4, 1e-2), starts=3, max_epochs=200)


def crosswise(folder):
    """A layer in which the label is which of two signs agree, and one of noise: no line tells the first."""
    random = np.random.default_rng(0)
    layers, labels = {}, {}
    for name, size in (("train", 900), ("test", 200)):
        states = random.normal(size=(size, 4))
        states[:, :2] += 1.5 * np.sign(states[:, :2])
        labels[name] = (states[:, 0] * states[:, 1] > 0).astype(int)
        layers[name] = [states.astype(np.float32), random.normal(size=(size, 4)).astype(np.float32)]
    return write_states(folder / "states", layers, labels)


def test_hidden_layers_read_what_no_line_tells_apart(tmp_path):
    states = crosswise(tmp_path)
    context = make_context(tmp_path / "mlp", states=states)
    metrics = mlp_probe.run(MlpProbeSpec(networks=FEW), context)
    accuracy = curve(context, "accuracy")
    assert accuracy[0] > 0.9
    # 200 coin flips exceed 125 less than once in a thousand times.
    assert accuracy[1] < 0.63
    assert metrics["best_layer"] == 0 and metrics["best_accuracy"] == accuracy[0]
    chosen = (curve(context, "size_first")[0], curve(context, "size_second")[0])
    assert chosen in FEW.sizes and curve(context, "decay")[0] in FEW.decays
    assert all(deviation >= 0 for deviation in curve(context, "accuracy_deviation").values())
    linear = make_context(tmp_path / "linear", states=states)
    probe.run(ProbeSpec(), linear)
    assert curve(linear, "accuracy")[0] < 0.65


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """Twelve words in all labels; the first layer has the words, the second one the labels."""
    folder, random = tmp_path_factory.mktemp("words"), np.random.default_rng(1)
    words = {"train": random.integers(12, size=900), "test": random.integers(12, size=180)}
    labels = {split: random.integers(len(LABELS), size=len(of)) for split, of in words.items()}
    layers = {
        split: [
            np.eye(12, dtype=np.float32)[words[split]] + 0.05 * random.normal(size=(len(of), 12)),
            np.eye(12, dtype=np.float32)[labels[split]] + 0.05 * random.normal(size=(len(of), 12)),
        ]
        for split, of in words.items()
    }
    layers = {split: [layer.astype(np.float32) for layer in of] for split, of in layers.items()}
    data = write_words(folder / "data", words, labels)
    return data, write_word_states(folder / "states", data, layers), words


@pytest.mark.parametrize("spec", [ProbeSpec(), MlpProbeSpec(networks=FEW)], ids=lambda spec: spec.kind)
def test_words_are_learnt_by_heart_where_they_can_be_told_apart(words, tmp_path, spec):
    data, states, _ = words
    true = make_context(tmp_path / "true", states=states)
    {"probe": probe, "mlp_probe": mlp_probe}[spec.kind].run(spec, true)
    # As in the store, where an artifact's curves lie beside its files.
    context = make_context(tmp_path / "control", states=states, data=data, probe=true.scratch)
    metrics = control_probe.run(ControlProbeSpec(probe=spec), context)
    control, selectivity = curve(context, "accuracy"), curve(context, "selectivity")
    assert control[0] > 0.95
    assert control[1] < 0.75
    assert selectivity == {
        layer: pytest.approx(curve(true, "accuracy")[layer] - control[layer]) for layer in (0, 1)
    }
    assert selectivity[0] < -0.3 and selectivity[1] > 0.25
    assert metrics == {"most_selective_layer": 1, "most_selectivity": selectivity[1]}


def test_a_word_has_one_number_wherever_it_stands(words):
    data, _, numbers = words
    found = {split: read_annotated(data, split) for split in ("train", "test")}
    types = {split: word_types(of, [unit.id for unit in of.units]) for split, of in found.items()}
    number_of = {}
    for split, of in types.items():
        for word, type_id in zip(numbers[split].tolist(), of.tolist(), strict=True):
            assert number_of.setdefault(word, type_id) == type_id >= 0
    assert len(set(number_of.values())) == 12
    last_first = [unit.id for unit in reversed(found["test"].units)]
    assert (word_types(found["test"], last_first) == types["test"][::-1]).all()


def test_labels_are_told_in_few_bits_where_a_layer_shows_them(tmp_path):
    context = make_context(tmp_path, states=clouds(tmp_path / "states", [0.0, 12.0]))
    metrics = description_length.run(DescriptionLengthSpec(), context)
    compression = curve(context, "compression")
    assert compression[0] < 1.1 < 2.5 < compression[1]
    assert curve(context, "bits")[1] == pytest.approx(metrics["uniform_bits"] / compression[1])
    assert metrics["uniform_bits"] == pytest.approx(120 * 2)
    assert metrics["best_layer"] == 1


def test_a_random_encoder_has_the_shape_and_none_of_the_weights(tmp_path):
    texts, labels = planted(60)
    inputs = {
        "encoder": write_encoder(tmp_path / "encoder"),
        "data": write_rows(tmp_path / "task", texts, labels, num_held_out=15),
    }
    made = {}
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        context = make_context(tmp_path / name, encoder=inputs["encoder"])
        before = torch.random.get_rng_state()
        random_encoder.run(RandomEncoderSpec(encoder="tiny", seed=seed), context)
        assert torch.equal(torch.random.get_rng_state(), before)
        made[name] = context.out
    weights = {name: AutoModel.from_pretrained(folder).state_dict() for name, folder in made.items()}
    pretrained = AutoModel.from_pretrained(inputs["encoder"]).state_dict()
    for name in weights["one"]:
        assert torch.equal(weights["one"][name], weights["same"][name])
    matrices = [name for name, of in weights["one"].items() if of.ndim == 2 and name in pretrained]
    assert matrices
    for name in matrices:
        assert weights["one"][name].shape == pretrained[name].shape
        assert not torch.equal(weights["one"][name], pretrained[name])
        assert not torch.equal(weights["one"][name], weights["other"][name])
    context = make_context(tmp_path / "states", data=inputs["data"], model=made["one"])
    text_states.run(TextStatesSpec(encoder="tiny", pooling="mean", num_train=10, num_test=10), context)
    assert len(read_layers(context.out, "train").layers) == 3


def test_the_shipped_networks_are_those_of_the_paper():
    networks = Networks()
    assert len(networks.sizes) == 16 and networks.sizes[1] == (32, 64) and networks.sizes[-1] == (256, 256)
    assert networks.decays == tuple(10.0**power for power in range(-7, 1))
