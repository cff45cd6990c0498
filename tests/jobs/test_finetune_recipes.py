"""What a fine-tuning does under each factor of a recipe that says how, and how much of, an encoder learns."""

import json
import math

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel

from layerscope.jobs import finetune
from layerscope.jobs.context import LOG
from layerscope.jobs.encoders.loading import load_encoder
from tests.jobs.tiny import (
    NO_DROPOUT,
    curve,
    curves,
    finetune_spec,
    make_context,
    planted,
    write_encoder,
    write_rows,
)

CLOCK = {"train/seconds", "train/examples_per_second"}
RECIPES = {
    "bert-adam": {"optimizer": "bert-adam"},
    "bfloat16": {"precision": "bfloat16"},
    "lora": {"lora_rank": 2, "lora_dropout": 0.1, "learning_rate": 1e-2},
    "frozen": {"frozen_layers": 1},
    "anew": {"reinitialised_layers": 1},
    "cosine": {"schedule": "cosine"},
    "constant": {"schedule": "constant"},
    "electra": {"decay_convention": "electra", "head_learning_rate": 1e-2, "embeddings_rate": "base"},
}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return write_encoder(tmp_path_factory.mktemp("recipes") / "encoder")


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    texts, labels = planted(160)
    return write_rows(tmp_path_factory.mktemp("recipes") / "task", texts, labels, num_held_out=40)


def context_of(folder, encoder, task, *, micro_batch_size=None):
    context = make_context(folder, train=True, encoder=encoder, data=task)
    context.micro_batch_size = micro_batch_size
    return context


def weights_of(context) -> dict[str, torch.Tensor]:
    return load_file(context.out / "model.safetensors") | load_file(context.out / "head.safetensors")


def without_clock(metrics):
    return {name: value for name, value in metrics.items() if name not in CLOCK}


@pytest.mark.parametrize("name", RECIPES)
def test_an_interrupted_run_ends_like_an_undisturbed_one(encoder, task, tmp_path, name):
    spec = finetune_spec(**{"epochs": 2, "layer_decay": 0.8} | RECIPES[name])
    undisturbed = context_of(tmp_path / "undisturbed", encoder, task)
    expected = finetune.run(spec, undisturbed)
    training = finetune.begin(spec, context_of(tmp_path / "interrupted", encoder, task))
    training.advance()
    training.save()
    training.train_to(training.progress.step + 2)
    torch.manual_seed(99)
    resumed = context_of(tmp_path / "interrupted", encoder, task)
    found = finetune.run(spec, resumed)
    assert without_clock(found) == without_clock(expected)
    assert curves(resumed) == curves(undisturbed)
    weights = weights_of(resumed)
    assert all(torch.equal(value, weights[name]) for name, value in weights_of(undisturbed).items())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bert-adam", "bfloat16", "lora", "anew"])
def test_a_planted_signal_is_learnt(encoder, task, tmp_path, name):
    spec = finetune_spec(**{"epochs": 14} | RECIPES[name])
    metrics = finetune.run(spec, context_of(tmp_path, encoder, task))
    assert metrics["test/accuracy"] > 0.9
    assert metrics["learned"] == 1
    assert metrics["train/loss_last"] < metrics["train/loss_first"] / 2


@pytest.mark.parametrize("name", ["lora", "bfloat16", "anew"])
def test_the_saved_encoder_is_a_plain_one_in_float32(encoder, task, tmp_path, name):
    context = context_of(tmp_path, encoder, task)
    finetune.run(finetune_spec(epochs=1, **RECIPES[name]), context)
    stored, start = load_file(context.out / "model.safetensors"), load_encoder(encoder).state_dict()
    assert set(stored) == {name for name in start if "position_ids" not in name}
    assert {value.dtype for value in stored.values()} == {torch.float32}
    _, report = AutoModel.from_pretrained(context.out, add_pooling_layer=False, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]


def test_adapters_move_the_linear_weights_and_nothing_else(encoder, task, tmp_path):
    context = context_of(tmp_path, encoder, task)
    finetune.run(finetune_spec(epochs=1, **RECIPES["lora"]), context)
    stored, start = load_file(context.out / "model.safetensors"), load_encoder(encoder).state_dict()
    moved = {name for name, value in stored.items() if not torch.equal(value, start[name])}
    assert moved == {
        name for name, value in start.items() if ".layer." in name and value.ndim == 2 and "weight" in name
    }


@pytest.mark.parametrize("frozen", [1, "all"])
def test_frozen_layers_stay_as_they_were(encoder, task, tmp_path, frozen):
    context = context_of(tmp_path, encoder, task)
    finetune.run(finetune_spec(epochs=1, frozen_layers=frozen, layer_decay=0.9), context)
    stored, start = load_file(context.out / "model.safetensors"), load_encoder(encoder).state_dict()
    moved = {name for name, value in stored.items() if not torch.equal(value, start[name])}
    groups = json.loads((context.out / "parameter_groups.json").read_text())
    trained = {name.removeprefix("encoder.") for group in groups for name in group["parameters"]}
    if frozen == "all":
        assert not moved
        assert trained == {"head.weight", "head.bias"}
    else:
        assert moved == {name for name in start if ".layer.1." in name}
        assert trained == moved | {"head.weight", "head.bias"}


def test_new_layers_depend_on_the_seed_of_the_variant(encoder, task, tmp_path):
    starts = []
    for seed in (1, 1, 2):
        training = finetune.begin(
            finetune_spec(seed=seed, reinitialised_layers=1), context_of(tmp_path, encoder, task)
        )
        starts.append(training.model.encoder.encoder.layer[1].output.dense.weight.detach().clone())
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])


def test_groups_are_told_in_the_log_and_in_the_artifact(encoder, task, tmp_path):
    context = context_of(tmp_path, encoder, task)
    finetune.run(finetune_spec(epochs=1, layer_decay=0.5, learning_rate=1e-3), context)
    lines = (context.scratch / LOG).read_text().splitlines()
    groups = json.loads((context.out / "parameter_groups.json").read_text())
    assert [line.split("  ")[0] for line in lines[1:]] == [group["name"] for group in groups]
    rates = {group["name"]: group["learning_rate"] for group in groups}
    names = ("head", "layer 2", "layer 1", "embeddings")
    assert [rates[name] for name in names] == [1e-3, 1e-3, 5e-4, 2.5e-4]
    assert {group["weight_decay"] for group in groups if "no weight decay" in group["name"]} == {0.0}
    sizes = {name: value.numel() for name, value in weights_of(context).items()}
    for group in groups:
        names = [name.split(".", 1)[1] for name in group["parameters"]]
        assert group["num_parameters"] == sum(sizes[name] for name in names)


def test_a_parameter_of_the_model_that_no_group_has_stops_the_run(encoder, task, tmp_path, monkeypatch):
    usual = finetune.parameter_groups
    monkeypatch.setattr(finetune, "parameter_groups", lambda *given: usual(*given)[1:])
    with pytest.raises(ValueError, match="in no parameter group, so never trained: head.weight"):
        finetune.begin(finetune_spec(), context_of(tmp_path, encoder, task))


def test_bfloat16_computes_in_another_format_and_ends_close(encoder, task, tmp_path):
    losses = {}
    for precision in ("float32", "bfloat16"):
        training = finetune.begin(
            finetune_spec(precision=precision), context_of(tmp_path / precision, encoder, task)
        )
        training.model.eval()
        losses[precision] = training.learner.next_batch(0).mean_loss(range(40)).item()
    assert losses["float32"] != losses["bfloat16"]
    # bfloat16 has 8 bits: relative errors of 0.4 % in each product.
    assert losses["bfloat16"] == pytest.approx(losses["float32"], abs=0.02)


def test_the_original_optimiser_clips_and_schedules_as_it_did(encoder, task, tmp_path):
    context = context_of(tmp_path, encoder, task)
    finetune.run(finetune_spec(epochs=1, warmup=0.5, learning_rate=1e-3, optimizer="bert-adam"), context)
    # 10 steps: the rate of the step that comes next, 1 - x after the warm-up.
    rates = {step: 1e-3 * (step / 10 / 0.5 if step < 5 else 1 - step / 10) for step in range(1, 11)}
    assert curve(context, "train/learning_rate") == pytest.approx(rates)


@pytest.mark.parametrize("size", [1, 3])
def test_small_parts_train_as_the_whole_batch(task, tmp_path, size):
    encoder = write_encoder(tmp_path / "encoder", **NO_DROPOUT)
    # Without bias correction and with the large epsilon of this optimiser rounding errors stay what they are.
    spec = finetune_spec(epochs=1, batch_size=40, optimizer="bert-adam", learning_rate=1e-3, warmup=0.0)
    whole, parts = (
        context_of(tmp_path / "a", encoder, task),
        context_of(tmp_path / "b", encoder, task, micro_batch_size=size),
    )
    expected, found = finetune.run(spec, whole), finetune.run(spec, parts)
    assert (expected["train/micro_batch_size"], found["train/micro_batch_size"]) == (40, size)
    weights = weights_of(parts)
    for name, value in weights_of(whole).items():
        torch.testing.assert_close(weights[name], value, atol=1e-6, rtol=0)
    losses = curve(whole, "train/loss")
    assert len(losses) == 2
    assert curve(parts, "train/loss") == pytest.approx(losses, abs=1e-6)


def run_short_of_memory(training, *, room: int) -> list[int]:
    """Let memory run out where more examples than there is room for go forward; returns the sizes tried in
    training."""
    sizes = []

    def fail(model, inputs):
        if model.training:
            sizes.append(len(inputs[0]))
        if len(inputs[0]) > room:
            raise torch.OutOfMemoryError("no room")

    training.model.register_forward_pre_hook(fail)
    return sizes


def test_where_memory_runs_out_parts_become_smaller_and_the_log_says_so(encoder, task, tmp_path):
    context = context_of(tmp_path, encoder, task)
    training = finetune.begin(finetune_spec(epochs=2), context)
    sizes = run_short_of_memory(training, room=3)
    training.advance()
    training.save()
    assert sizes[:3] == [8, 4, 2]
    assert sum(sizes[2:]) == 80
    assert max(sizes[2:]) == 2
    training.advance()
    metrics = training.finish()
    assert metrics["train/micro_batch_size"] == 2
    log = (context.scratch / LOG).read_text()
    assert "out of memory with 8 examples at a time: from here on 4 at a time" in log
    assert "out of memory with 4 examples at a time: from here on 2 at a time" in log
    resumed = finetune.begin(finetune_spec(epochs=2), context_of(tmp_path, encoder, task))
    assert resumed.learner.optimisation.micro_batches.size == 2


def test_no_room_for_one_example_ends_the_run_with_a_clear_error(encoder, task, tmp_path):
    training = finetune.begin(finetune_spec(), context_of(tmp_path, encoder, task))
    run_short_of_memory(training, room=0)
    with pytest.raises(ValueError, match="out of memory with one example at a time: a shorter max_length"):
        training.advance()


@pytest.mark.parametrize(("learning_rate", "learned"), [(3e-3, 1.0), (1e-9, 0.0), (1e30, 0.0)])
def test_a_rate_that_does_not_learn_is_a_result(encoder, task, tmp_path, learning_rate, learned):
    context = context_of(tmp_path, encoder, task)
    spec = finetune_spec(epochs=6, learning_rate=learning_rate)
    metrics = finetune.run(spec, context)
    assert metrics["learned"] == learned
    losses = curve(context, "train/loss")
    if learning_rate == 1e30:
        assert metrics["diverged"] == 1
    else:
        assert metrics["train/loss_first"] == losses[min(losses)]
        assert metrics["train/loss_last"] == losses[max(losses)]
    assert all(math.isfinite(value) for value in metrics.values())
