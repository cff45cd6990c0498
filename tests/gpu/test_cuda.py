"""Every stage that may run on a GPU gives there what it gives on a processor."""

import gc
import json
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from layerscope.jobs import feature_head, features, finetune, multitask, pretrain, span_states, text_states
from layerscope.jobs.artifacts.layers import read_layers
from layerscope.jobs.context import LOG, StageContext
from layerscope.jobs.measures.geometry import direct_probe_stage as geometry
from layerscope.jobs.measures.geometry.specs import GeometrySpec
from layerscope.jobs.measures.isotropy import stage as spread
from layerscope.jobs.measures.isotropy.specs import SpreadSpec
from layerscope.jobs.measures.layer_dropping import refitted_head_stage as refit
from layerscope.jobs.measures.layer_dropping.specs import RefitSpec
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
from layerscope.jobs.processes import alone
from layerscope.jobs.specs.annotations import SpanStatesSpec
from layerscope.jobs.specs.features import FeatureHeadSpec, FeaturesSpec
from layerscope.jobs.specs.multitask import JointTraining, MultitaskSpec
from layerscope.jobs.specs.recipe import Training
from layerscope.jobs.specs.spec import Spec
from layerscope.jobs.specs.stages import TextStatesSpec
from tests.jobs.clouds import clouds, write_labels
from tests.jobs.tiny import (
    NO_DROPOUT,
    curve,
    curves,
    finetune_spec,
    make_context,
    planted,
    planted_windows,
    pretrain_spec,
    write_encoder,
    write_rows,
    write_task,
)
from tests.jobs.words import write_word_states, write_words

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")

DEVICES = ("cpu", "cuda")
STEADY = {"optimizer": "bert-adam", "warmup": 0.0, "learning_rate": 1e-3, "epochs": 2}
"""The large epsilon of bert-adam leaves gradients of rounding errors alone; AdamW makes steps of them."""
RECIPES = {
    "cls": {"pooling": "cls", "layer_decay": 0.9},
    "last": {"pooling": "last", "layers": (1, 2), "layer_pooling": "max"},
    "pooler": {"pooling": "pooler"},
    "lora": {"lora_rank": 2, "learning_rate": 1e-2},
    "new and frozen": {"reinitialised_layers": 1, "frozen_layers": 1},
    "cosine": {"schedule": "cosine", "optimizer": "adamw", "learning_rate": 1e-4},
}


def on(device: str, folder, roles=None, *, trains: bool = False, **inputs) -> StageContext:
    context = make_context(folder / device, roles, **inputs)
    context.device = device
    if trains:
        context.accelerator = alone(use_gpu=device == "cuda")
        assert context.accelerator.device.type == device
    return context


def on_both(stage: ModuleType, spec: Spec, folder, roles=None, **options):
    """Contexts and metrics of the stage on a processor and on a GPU."""
    contexts, metrics = [], []
    for device in DEVICES:
        # One after the other: accelerators of a process share its device.
        contexts.append(on(device, folder, roles, **options))
        metrics.append(stage.run(spec, contexts[-1]))
    return contexts, metrics


def assert_alike(contexts, metrics, *, scores: float = 1e-3) -> None:
    """Metrics and curves but for seconds; of the same sums in another order, in float32."""
    cpu, cuda = ({k: v for k, v in one.items() if "second" not in k} for one in metrics)
    assert cuda == pytest.approx(cpu, abs=scores, nan_ok=True)
    cpu, cuda = (curves(context) for context in contexts)
    assert [step for step, _ in cuda] == [step for step, _ in cpu]
    for (_, here), (_, there) in zip(cpu, cuda, strict=True):
        here, there = ({k: v for k, v in one.items() if "second" not in k} for one in (here, there))
        assert there == pytest.approx(here, abs=scores, nan_ok=True)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_recipe_trains_as_on_a_processor(encoder, task, tmp_path, recipe):
    inputs = {"encoder": encoder, "pooler": encoder, "data": task}
    contexts, metrics = on_both(finetune, finetune_spec(**STEADY | recipe), tmp_path, trains=True, **inputs)
    assert_alike(contexts, metrics)
    cpu, cuda = (load_file(context.out / "model.safetensors") for context in contexts)
    for name, weights in cpu.items():
        # A bias of the keys has a gradient of rounding errors alone.
        if not name.endswith("key.bias"):
            torch.testing.assert_close(cuda[name], weights, atol=1e-3, rtol=0, msg=name)


@pytest.mark.parametrize("window_pooling", ["mean", "max", "attention", "logits", "vote"])
def test_windows_of_pairs_train_as_on_a_processor(encoder, tmp_path, window_pooling):
    columns = planted_windows(60)
    columns["type_ids"] = [[int(place > 2) for place in range(len(text))] for text in columns["texts"]]
    data = write_rows(tmp_path / "windows", num_held_out=15, **columns)
    spec = finetune_spec(**STEADY | {"window_pooling": window_pooling, "layers": "all"})
    contexts, metrics = on_both(finetune, spec, tmp_path, trains=True, encoder=encoder, data=data)
    assert_alike(contexts, metrics)


def test_a_planted_signal_is_learnt_in_bfloat16(task, tmp_path):
    encoder = write_encoder(tmp_path / "encoder")
    context = on("cuda", tmp_path, trains=True, encoder=encoder, data=task)
    metrics = finetune.run(finetune_spec(epochs=8, precision="bfloat16"), context)
    assert metrics["test/accuracy"] > 0.95
    stored = load_file(context.out / "model.safetensors")
    assert {weights.dtype for weights in stored.values()} == {torch.float32}


def test_a_batch_that_memory_cannot_hold_is_taken_in_parts(tmp_path):
    shape = {"hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 2} | NO_DROPOUT
    encoder = write_encoder(tmp_path / "encoder", **shape)
    texts, labels = planted(640)
    texts = [[2, *(text[1:-1] * 12)[:100], 3] for text in texts]
    data = write_rows(tmp_path / "task", texts, labels, num_held_out=64)
    spec = finetune_spec(**STEADY | {"batch_size": 512})
    roomy, crowded = (
        on("cuda", tmp_path / name, trains=True, encoder=encoder, data=data) for name in ("roomy", "crowded")
    )
    torch.cuda.reset_peak_memory_stats()
    plain = finetune.run(spec, roomy)
    room = 0.6 * torch.cuda.max_memory_allocated()
    gc.collect()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(room / total)
    try:
        parts = finetune.run(spec, crowded)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert plain["train/micro_batch_size"] == 512
    assert 1 <= parts["train/micro_batch_size"] <= 256
    assert "out of memory" in (crowded.scratch / LOG).read_text().lower()
    assert not (roomy.scratch / LOG).exists() or "memory" not in (roomy.scratch / LOG).read_text()
    expected, halved = (curve(context, "validation/loss") for context in (roomy, crowded))
    assert halved == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("options", [{}, {"next_sentence": True}, {"masking": "word"}], ids=str)
def test_further_pretraining_is_as_on_a_processor(encoder, tmp_path, options):
    corpus = write_task(tmp_path / "corpus", encoder, max_length=None)
    spec = pretrain_spec(**{"learning_rate": 1e-4, "snapshots": (4,)} | options)
    roles = {"corpus/0": corpus}
    contexts, metrics = on_both(pretrain, spec, tmp_path, roles, trains=True, encoder=encoder)
    # Of eight steps of AdamW.
    assert_alike(contexts, metrics, scores=1e-2)
    assert (contexts[1].out / "step-4" / "model.safetensors").exists()


def test_joint_training_is_as_on_a_processor(encoder, task, tmp_path):
    other = write_rows(tmp_path / "other", *planted(120, seed=1), num_held_out=30)
    training = JointTraining(epochs=1, batch_size=8, learning_rate=1e-4, pooling="last")
    roles = {"data/one": task, "data/other": other}
    spec = MultitaskSpec(encoder="tiny", training=training)
    contexts, metrics = on_both(multitask, spec, tmp_path, roles, trains=True, encoder=encoder)
    # An example of 30 may change sides.
    assert_alike(contexts, metrics, scores=0.04)


@pytest.mark.parametrize("pooling", ["cls", "mean", "last"])
def test_states_are_those_of_a_processor(encoder, task, tmp_path, pooling):
    spec = TextStatesSpec(encoder="tiny", pooling=pooling, num_train=100, num_test=40)
    contexts, _ = on_both(text_states, spec, tmp_path, encoder=encoder, data=task)
    cpu, cuda = (read_layers(context.out, "test") for context in contexts)
    assert list(cuda.ids) == list(cpu.ids)
    for here, there in zip(cpu.layers, cuda.layers, strict=True):
        np.testing.assert_allclose(there, here, atol=1e-4)


def test_states_of_words_are_those_of_a_processor(encoder, tmp_path):
    words = {name: np.arange(size) % 12 for name, size in (("train", 60), ("test", 24))}
    data = write_words(tmp_path / "words", words, {name: of % 2 for name, of in words.items()})
    spec = SpanStatesSpec(encoder="", num_train=60, num_test=24)
    contexts, _ = on_both(span_states, spec, tmp_path, encoder=encoder, data=data)
    cpu, cuda = (read_layers(context.out, "train") for context in contexts)
    for here, there in zip(cpu.layers, cuda.layers, strict=True):
        np.testing.assert_allclose(there, here, atol=1e-4)


@pytest.mark.parametrize("head", ["linear", "bilstm"])
def test_a_head_on_features_learns(encoder, task, tmp_path, head):
    stored = on("cuda", tmp_path / "features", encoder=encoder, data=task)
    features.run(FeaturesSpec(encoder="tiny", layers=(1, 2)), stored)
    training = Training(learning_rate=1e-2, epochs=12, batch_size=8, pooling="mean")
    context = on("cuda", tmp_path / "head", trains=True, features=stored.out, data=task)
    spec = FeatureHeadSpec(training=training, head=head, head_hidden=24, seed=0)
    assert feature_head.run(spec, context)["test/accuracy"] > 0.8


MEASURES = {
    "probe": (probe, ProbeSpec(), "accuracy", 0.01),
    "mlp_probe": (
        mlp_probe,
        MlpProbeSpec(networks=Networks(sizes=((32, 32),), decays=(1e-2,), starts=2, max_epochs=60)),
        "accuracy",
        0.05,
    ),
    "description_length": (description_length, DescriptionLengthSpec(), "compression", 1e-2),
    "refit": (refit, RefitSpec(), "accuracy", 0.01),
    "spread": (spread, SpreadSpec(), "effective_rank", 1e-3),
}


@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_of_layers_is_that_of_a_processor(tmp_path, name):
    stage, spec, metric, tolerance = MEASURES[name]
    states = clouds(tmp_path / "states", [0.0, 0.6, 12.0])
    contexts, metrics = on_both(stage, spec, tmp_path, states=states)
    numbers = [
        {k: v for k, v in one.items() if k.split("/")[-1] not in ("best_layer", "penalty")} for one in metrics
    ]
    assert numbers[1] == pytest.approx(numbers[0], rel=tolerance, abs=tolerance)
    here, there = (curve(context, metric) for context in contexts)
    assert there == pytest.approx(here, rel=tolerance, abs=tolerance)


def test_a_control_probe_is_that_of_a_processor(tmp_path):
    random = np.random.default_rng(1)
    words = {"train": random.integers(12, size=300), "test": random.integers(12, size=90)}
    labels = {split: random.integers(3, size=len(of)) for split, of in words.items()}
    layers = {
        split: [(np.eye(12)[of] + 0.05 * random.normal(size=(len(of), 12))).astype(np.float32)]
        for split, of in words.items()
    }
    data = write_words(tmp_path / "data", words, labels)
    states = write_word_states(tmp_path / "states", data, layers)
    true = on("cpu", tmp_path / "true", states=states)
    probe.run(ProbeSpec(), true)
    inputs = {"states": states, "data": data, "probe": true.scratch}
    contexts, metrics = on_both(control_probe, ControlProbeSpec(probe=ProbeSpec()), tmp_path, **inputs)
    assert_alike(contexts, metrics, scores=0.02)


def test_clusters_are_those_of_a_processor(tmp_path):
    states = clouds(tmp_path / "states", [12.0, 0.6], width=24)
    inputs = {"states": states, "data": write_labels(tmp_path / "task", ["a", "b", "c", "d"])}
    contexts, metrics = on_both(geometry, GeometrySpec(resamples=200), tmp_path, **inputs)
    assert metrics[1] == metrics[0]
    cpu, cuda = (curve(context, "clusters") for context in contexts)
    assert cuda == cpu
    for end in ("lower", "upper"):
        cpu, cuda = (curve(context, f"min_distance_{end}") for context in contexts)
        assert cuda == pytest.approx(cpu, rel=1e-4)


def test_predictions_lie_beside_the_weights(encoder, task, tmp_path):
    context = on("cuda", tmp_path, trains=True, encoder=encoder, data=task)
    spec = finetune_spec(epochs=1).model_copy(update={"checkpoints": (0.5,)})
    finetune.run(spec, context)
    stored = json.loads((context.out / "test_predictions.json").read_text())
    assert len(stored["predictions"]) == 40
    assert (context.out / "share-0.5" / "model.safetensors").exists()
