import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from layerscope.jobs import feature_head, features
from layerscope.jobs.artifacts.token_states import TokenStates, write_tokens
from layerscope.jobs.artifacts.tokenised import read_split
from layerscope.jobs.encoders.loading import load_encoder
from layerscope.jobs.specs.features import FeatureHeadSpec, FeaturesSpec, chosen_layers
from layerscope.jobs.specs.recipe import Training
from layerscope.jobs.targets.task_type import TaskType
from tests.jobs.tiny import curve, curves, make_context, planted, write_encoder, write_rows


def head_spec(*, seed: int = 0, head: str = "linear", **training) -> FeatureHeadSpec:
    fields = {"learning_rate": 1e-2, "epochs": 12, "batch_size": 8, "pooling": "mean"} | training
    return FeatureHeadSpec(training=Training(**fields), head=head, head_hidden=24, seed=seed)


def write_features(folder, encoder, data, layers=(2,), **limits) -> dict[str, float]:
    context = make_context(folder, encoder=encoder, data=data)
    context.limits = limits
    return features.run(FeaturesSpec(encoder="tiny", layers=layers), context)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return write_encoder(tmp_path_factory.mktemp("features") / "encoder")


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return write_rows(tmp_path_factory.mktemp("features") / "task", *planted(200), num_held_out=40)


@pytest.fixture(scope="module")
def stored(encoder, task, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored")
    write_features(folder, encoder, task, layers=(1, 2))
    return folder / "out"


def train(folder, spec, stored, task):
    context = make_context(folder, train=True, features=stored, data=task)
    return context, feature_head.run(spec, context)


@pytest.mark.parametrize("architecture", ["bert", "modernbert", "distilbert"])
def test_features_are_the_states_of_the_encoder_in_half_precision(architecture, task, tmp_path):
    folder = write_encoder(tmp_path / "encoder", architecture=architecture)
    metrics = write_features(tmp_path, folder, task, layers=(1, 2))
    encoder, states = load_encoder(folder).eval(), TokenStates(tmp_path / "out", "test")
    texts = read_split(task, "test").texts
    is_normalised = architecture == "modernbert"
    assert states.lengths == [len(text) for text in texts]
    for row in (0, 17, 39):
        with torch.inference_mode():
            output = encoder(input_ids=torch.tensor([texts[row]]), output_hidden_states=True)
            lower = encoder.final_norm(output.hidden_states[1]) if is_normalised else output.hidden_states[1]
        expected = torch.cat([lower, output.last_hidden_state], dim=-1)[0].half()
        # A batch pads, and sums in another order: a step of float16 at these sizes is up to 2e-3.
        torch.testing.assert_close(states.text(row), expected, atol=4e-3, rtol=2e-3)
    splits = ("train", "validation", "test")
    assert metrics["tokens"] == sum(sum(map(len, read_split(task, name).texts)) for name in splits)
    assert metrics["gigabytes"] == metrics["tokens"] * 64 * 2 / 1e9


def test_shards_do_not_change_what_is_written(encoder, task, tmp_path, monkeypatch):
    write_features(tmp_path / "whole", encoder, task)
    monkeypatch.setattr("layerscope.jobs.encoders.token_states.TEXTS_IN_SHARD", 7)
    write_features(tmp_path / "parts", encoder, task)
    whole, parts = (TokenStates(tmp_path / name / "out", "train") for name in ("whole", "parts"))
    assert whole.lengths == parts.lengths
    for row in range(len(whole.lengths)):
        torch.testing.assert_close(whole.text(row), parts.text(row), atol=4e-3, rtol=2e-3)


def test_what_is_written_in_parts_is_read_back_by_the_library(tmp_path):
    parts = [np.random.default_rng(n).normal(size=(n, 3)).astype(np.float16) for n in (2, 5, 1)]
    write_tokens(tmp_path, "a", iter(parts), lengths=[2, 5, 1], width=3)
    with safe_open(tmp_path / "a.safetensors", framework="numpy") as file:
        assert (file.get_tensor("states") == np.concatenate(parts)).all()
        assert file.get_tensor("offsets").tolist() == [0, 2, 7, 8]
    padded_BTD, mask_BT = TokenStates(tmp_path, "a").padded([2, 0])
    assert mask_BT.tolist() == [[1, 0], [1, 1]]
    assert padded_BTD[0, 1].tolist() == [0, 0, 0]
    assert (padded_BTD[1].numpy() == parts[0]).all()


def test_features_over_the_budget_are_refused_before_they_are_computed(encoder, task, tmp_path):
    with pytest.raises(ValueError, match=r"take 0\.0\d+ GB, over feature_budget_gb 1e-05: a shorter max_len"):
        write_features(tmp_path, encoder, task, feature_budget_gb=1e-5)
    assert not list((tmp_path / "out").iterdir())


def test_states_too_large_for_half_precision_are_refused(task, tmp_path):
    folder = write_encoder(tmp_path / "encoder")
    broken = load_encoder(folder)
    torch.nn.init.constant_(broken.encoder.layer[1].output.LayerNorm.weight, 1e6)
    broken.save_pretrained(folder)
    with pytest.raises(ValueError, match="states that float16 cannot hold"):
        write_features(tmp_path, folder, task)


# Random weights blur the planted token in a mean over tokens: the linear head only has to be three standard
# deviations of 40 guesses above chance.
@pytest.mark.parametrize(("head", "least"), [("linear", 0.74), ("bilstm", 0.9)])
def test_a_head_learns_the_planted_task_from_frozen_states(head, least, stored, task, tmp_path):
    context, metrics = train(tmp_path, head_spec(head=head), stored, task)
    assert metrics["test/accuracy"] > least
    assert metrics["train/num_texts"] == 120
    assert metrics["train/steps"] == 12 * 15
    validation = curve(context, "validation/accuracy")
    assert metrics["validation/accuracy"] == max(validation.values())
    predictions = json.loads((context.out / "test_predictions.json").read_text())
    right = np.mean(np.array(predictions["labels"]) == predictions["predictions"])
    assert right == metrics["test/accuracy"]
    assert predictions["ids"] == list(read_split(task, "test").ids)
    groups = json.loads((context.out / "parameter_groups.json").read_text())
    assert [group["name"] for group in groups] == ["head", "head, no weight decay"]
    weights = load_file(context.out / "head.safetensors")
    assert sorted(name for group in groups for name in group["parameters"]) == sorted(weights)


@pytest.mark.parametrize("head", ["linear", "bilstm"])
def test_a_head_learns_nothing_from_labels_without_meaning(head, encoder, tmp_path):
    texts, _ = planted(200)
    labels = np.random.default_rng(9).integers(0, 2, 200).tolist()
    task = write_rows(tmp_path / "task", texts, labels, num_held_out=60)
    write_features(tmp_path, encoder, task)
    _, metrics = train(tmp_path / "head", head_spec(head=head, epochs=4), tmp_path / "out", task)
    # Three standard deviations of 60 guesses.
    assert abs(metrics["test/accuracy"] - 0.5) < 0.2


def test_the_attention_of_the_lstm_does_not_see_padding(stored):
    from layerscope.jobs.encoders.feature_heads import make_head

    states = TokenStates(stored, "test")
    torch.manual_seed(0)
    head = make_head(head_spec(head="bilstm"), width=states.width, num_labels=2, dropout=0.0).eval()
    rows = [0, 1, 2, 3]
    together = head(*states.padded(rows))
    alone = torch.cat([head(*states.padded([row])) for row in rows])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)


def test_the_same_spec_gives_the_same_bytes_and_a_smaller_size_learns_from_less(stored, task, tmp_path):
    specs = [head_spec(epochs=2), head_spec(epochs=2), head_spec(epochs=2, train_size=0.1)]
    runs = [train(tmp_path / str(i), spec, stored, task) for i, spec in enumerate(specs)]
    written = [(context.out / "head.safetensors").read_bytes() for context, _ in runs]
    assert written[0] == written[1] != written[2]
    assert [metrics["train/num_texts"] for _, metrics in runs] == [120, 120, 12]


@pytest.mark.parametrize("head", ["linear", "bilstm"])
@pytest.mark.parametrize("num_saved", [1, 3])
def test_an_interrupted_head_that_is_resumed_ends_like_an_undisturbed_one(
    head, num_saved, stored, task, tmp_path
):
    spec = head_spec(head=head, epochs=4)
    undisturbed, expected = train(tmp_path / "undisturbed", spec, stored, task)
    context = make_context(tmp_path / "interrupted", train=True, features=stored, data=task)
    interrupted = feature_head.begin(spec, context)
    for _ in range(num_saved):
        interrupted.advance()
        interrupted.save()
    interrupted.train_to(interrupted.progress.step + 2)
    torch.manual_seed(99)

    resumed, found = train(tmp_path / "interrupted", spec, stored, task)
    assert without_clock(found) == without_clock(expected)
    assert curves(resumed) == curves(undisturbed)
    for name in ("head.safetensors", "test_predictions.json"):
        assert (resumed.out / name).read_bytes() == (undisturbed.out / name).read_bytes()


def without_clock(metrics):
    clock = {"train/seconds", "train/examples_per_second"}
    return {name: value for name, value in metrics.items() if name not in clock}


@pytest.mark.parametrize("selected_by", [None, "macro_f1", "matthews"])
def test_the_best_weights_of_a_head_are_those_of_the_metric_of_its_task(selected_by, stored, task, tmp_path):
    spec = head_spec(epochs=6, evaluations_per_epoch=2).model_copy(update={"selected_by": selected_by})
    context, metrics = train(tmp_path, spec, stored, task)
    metric = f"validation/{selected_by or 'accuracy'}"
    best = max(curve(context, metric).values())
    assert metrics[metric] == best
    first = next(step for step, value in curve(context, metric).items() if value == best)
    assert metrics["validation/loss"] == curve(context, "validation/loss")[first]


def scores(accuracy, *, macro_f1):
    return {"validation/loss": 1.0, "validation/accuracy": accuracy, "validation/macro_f1": macro_f1}


def test_the_metric_of_a_task_decides_where_accuracy_decides_otherwise(stored, task, tmp_path, monkeypatch):
    """Scores that rise by one metric and fall by the other: each keeps another evaluation's weights."""
    found = {}
    for selected_by in (None, "macro_f1"):
        spec = head_spec(epochs=3).model_copy(update={"selected_by": selected_by})
        context = make_context(tmp_path / str(selected_by), train=True, features=stored, data=task)
        training = feature_head.begin(spec, context)
        scored = iter([scores(0.9, macro_f1=0.1), scores(0.5, macro_f1=0.5), scores(0.4, macro_f1=0.2)])
        monkeypatch.setattr(TaskType, "scores", lambda *_, scored=scored, **__: next(scored))
        results = [training.advance() for _ in range(3)]
        found[selected_by] = [one["best/validation/score"] for one in results]
    assert found == {None: [0.9, 0.9, 0.9], "macro_f1": [0.1, 0.5, 0.5]}


def test_a_head_that_diverges_ends_with_the_weights_it_began_with(stored, task, tmp_path):
    _, metrics = train(tmp_path, head_spec(learning_rate=1e38, warmup=0.0), stored, task)
    assert metrics["diverged"] == 1
    assert metrics["train/steps"] < 180
    assert np.isfinite(metrics["test/loss"])


def test_layers_are_counted_from_the_embeddings():
    found = [chosen_layers(layers, 12) for layers in (0, 12, "last", "last-1", "last-4")]
    assert found == [(0,), (12,), (12,), (12,), (9, 10, 11, 12)]
    with pytest.raises(ValueError, match="layer 13 does not exist: the encoder has layers 0 to 12"):
        chosen_layers(13, 12)
    with pytest.raises(ValueError, match="last-14 are too many: the encoder has layers 0 to 12"):
        chosen_layers("last-14", 12)
