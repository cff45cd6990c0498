import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn.modules.module import register_module_forward_pre_hook

from layerscope.jobs import multitask
from layerscope.jobs.context import LOG
from layerscope.jobs.encoders.loading import load_encoder
from layerscope.jobs.encoders.shared_heads import SharedEncoder
from layerscope.jobs.specs.multitask import JointTraining, MultitaskSpec
from layerscope.jobs.text.tokenising.tokenizer import load_tokenizer
from tests.jobs.tiny import NO_DROPOUT, curve, curves, make_context, planted, write_encoder, write_rows


def spec_of(**training) -> MultitaskSpec:
    fields = {"epochs": 4, "batch_size": 8, "learning_rate": 3e-3, "pooling": "mean"} | training
    return MultitaskSpec(encoder="tiny", training=JointTraining(**fields))


def ends(num_texts: int) -> tuple[list[list[int]], list[int]]:
    """Texts whose label, one of three, is the token that they begin with."""
    random = np.random.default_rng(5)
    labels = [row % 3 for row in range(num_texts)]
    return [[2, 7 + label, *random.integers(10, 60, size=6).tolist(), 3] for label in labels], labels


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("multitask")
    return {
        "encoder": write_encoder(folder / "encoder"),
        "data/where": write_rows(folder / "where", *planted(200), num_held_out=40),
        "data/ends": write_rows(folder / "ends", *ends(120), num_held_out=30),
    }


def context_of(folder, inputs):
    return make_context(folder, train=True, **inputs)


def test_one_encoder_learns_both_planted_tasks(inputs, tmp_path):
    context = context_of(tmp_path, inputs)
    metrics = multitask.run(spec_of(epochs=8), context)
    for task in ("where", "ends"):
        assert metrics[f"{task}/test/accuracy"] > 0.9
        scored = curve(context, f"{task}/validation/accuracy")
        assert list(scored) == [46, 92, 138, 184]
        assert scored[184] == metrics[f"{task}/validation/accuracy"]
    # 120 and 60 training rows in batches of 8, eight times over.
    assert metrics["train/steps"] == 184
    assert metrics["where/train/steps"] + metrics["ends/train/steps"] == 184
    assert metrics["where/train/steps"] > metrics["ends/train/steps"]


def test_the_artifact_is_an_encoder_with_the_heads_of_all_tasks(inputs, tmp_path):
    context = context_of(tmp_path, inputs)
    multitask.run(spec_of(epochs=None, steps=3), context)
    heads = load_file(context.out / "heads.safetensors")
    assert {name: tuple(value.shape) for name, value in heads.items()} == {
        "ends.weight": (3, 32),
        "ends.bias": (3,),
        "where.weight": (2, 32),
        "where.bias": (2,),
    }
    about = json.loads((context.out / "heads.json").read_text())
    assert about == {
        "pooling": "mean",
        "labels": {"ends": ["label 0", "label 1", "label 2"], "where": ["label 0", "label 1"]},
    }
    moved = [
        name
        for name, value in load_encoder(context.out).state_dict().items()
        if not value.equal(load_encoder(inputs["encoder"]).state_dict()[name])
    ]
    assert "encoder.layer.0.attention.self.query.weight" in moved
    load_tokenizer(context.out)


def test_the_same_spec_gives_the_same_bytes_and_another_seed_does_not(inputs, tmp_path):
    written = []
    for number, seed in enumerate((0, 0, 1)):
        context = context_of(tmp_path / str(number), inputs)
        multitask.run(spec_of(epochs=None, steps=4, seed=seed), context)
        files = ("model.safetensors", "heads.safetensors")
        written.append([(context.out / name).read_bytes() for name in files])
    assert written[0] == written[1] != written[2]


@pytest.mark.slow
@pytest.mark.parametrize("num_points", [20, 40, 55])
def test_an_interrupted_training_that_is_resumed_ends_like_an_undisturbed_one(inputs, tmp_path, num_points):
    spec = spec_of(epochs=None, steps=110, evaluations=3)  # two steps a point, and scores between them
    undisturbed = context_of(tmp_path / "undisturbed", inputs)
    expected = multitask.run(spec, undisturbed)
    interrupted = multitask.begin(spec, context_of(tmp_path / "interrupted", inputs))
    for _ in range(num_points):
        interrupted.advance()
    interrupted.save()
    if not interrupted.is_over:
        interrupted.advance()
    torch.manual_seed(99)

    resumed = context_of(tmp_path / "interrupted", inputs)
    found = multitask.run(spec, resumed)
    assert found == expected
    assert curves(resumed) == curves(undisturbed)
    for name in ("model.safetensors", "heads.safetensors"):
        assert (resumed.out / name).read_bytes() == (undisturbed.out / name).read_bytes()


def test_a_training_that_was_never_saved_begins_its_curves_anew(inputs, tmp_path):
    spec = spec_of(epochs=None, steps=6)
    multitask.begin(spec, context_of(tmp_path, inputs)).advance()
    again = context_of(tmp_path, inputs)
    multitask.run(spec, again)
    assert list(curve(again, "train/loss")) == [1, 2, 3, 4, 5, 6]


def test_a_joint_training_that_diverges_says_so(inputs, tmp_path):
    context = context_of(tmp_path, inputs)
    with pytest.raises(ValueError, match=r"diverged by step \d, in task .* below 1e\+30"):
        multitask.run(spec_of(epochs=None, steps=6, learning_rate=1e30, warmup=0.0), context)
    assert not list(context.out.iterdir())


@pytest.fixture
def plain(inputs, tmp_path):
    """Without dropout: parts draw other features to drop than the whole batch does."""
    return inputs | {"encoder": write_encoder(tmp_path / "plain", **NO_DROPOUT)}


def short_of_memory(*, room: int, sizes: list[int]):
    """While it lasts memory runs out where more texts than there is room for go forward; tells the sizes."""

    def fail(model, inputs):
        if isinstance(model, SharedEncoder):
            sizes.append(len(inputs[0]))
            if len(inputs[0]) > room:
                raise torch.OutOfMemoryError("no room")

    return register_module_forward_pre_hook(fail)


def assert_alike(context, other):
    """Weights, but for the biases of keys: their gradient is rounding error, which Adam makes steps of."""
    for name in ("model.safetensors", "heads.safetensors"):
        weights, others = (load_file(one.out / name) for one in (context, other))
        for weight, value in weights.items():
            if not weight.endswith("key.bias"):
                # Sums in another order, in float32; weighing a batch wrongly moves weights by 1e-4 and more.
                torch.testing.assert_close(others[weight], value, atol=1e-5, rtol=0, msg=weight)


@pytest.mark.parametrize("size", [1, 3])
def test_small_parts_train_as_the_whole_batch(plain, tmp_path, size):
    spec = spec_of(epochs=None, steps=6, learning_rate=1e-3)
    whole, parts = (context_of(tmp_path / name, plain) for name in "ab")
    parts.micro_batch_size = size
    expected, found = (multitask.run(spec, context) for context in (whole, parts))
    assert (expected["train/micro_batch_size"], found["train/micro_batch_size"]) == (8, size)
    assert_alike(whole, parts)
    assert curve(parts, "train/loss") == pytest.approx(curve(whole, "train/loss"), abs=1e-4)


def test_where_memory_runs_out_parts_become_smaller_and_the_log_says_so(plain, tmp_path):
    spec = spec_of(epochs=None, steps=6, learning_rate=1e-3)
    undisturbed, context = (context_of(tmp_path / name, plain) for name in "ab")
    expected = multitask.run(spec, undisturbed)
    sizes = []
    with short_of_memory(room=3, sizes=sizes):
        found = multitask.run(spec, context)
    assert sizes[:7] == [8, 4, 2, 2, 2, 2, 2]
    assert found["train/micro_batch_size"] == 2
    assert 30 in sizes  # held-out texts of a task, which no gradient is kept of
    assert_alike(undisturbed, context)
    assert found["ends/test/loss"] == pytest.approx(expected["ends/test/loss"], abs=1e-4)
    log = (context.scratch / LOG).read_text()
    assert "out of memory with 8 examples at a time: from here on 4 at a time" in log
    assert "out of memory with 4 examples at a time: from here on 2 at a time" in log


def test_no_room_for_one_text_ends_the_training_with_a_clear_error(inputs, tmp_path):
    with (
        short_of_memory(room=0, sizes=[]),
        pytest.raises(ValueError, match="out of memory with one example at a time: a shorter max_length"),
    ):
        multitask.run(spec_of(), context_of(tmp_path, inputs))


def test_bfloat16_computes_in_it_and_keeps_the_weights_in_float32(plain, tmp_path):
    formats = set()

    def look(module, inputs):
        if isinstance(module, torch.nn.Dropout) and inputs[0].ndim == 3:
            formats.add(inputs[0].dtype)

    options = {"epochs": None, "steps": 6, "learning_rate": 1e-3}
    context = context_of(tmp_path / "bfloat16", plain)
    with register_module_forward_pre_hook(look):
        metrics = multitask.run(spec_of(precision="bfloat16", **options), context)
    assert torch.bfloat16 in formats
    for name in ("model.safetensors", "heads.safetensors"):
        assert {value.dtype for value in load_file(context.out / name).values()} == {torch.float32}
    expected = multitask.run(spec_of(**options), context_of(tmp_path / "float32", plain))
    for metric in ("ends/validation/loss", "where/test/loss"):
        # bfloat16 has 8 bits: relative errors of 0.4 % in each product.
        assert metrics[metric] == pytest.approx(expected[metric], abs=0.02)
        assert metrics[metric] != expected[metric]


def test_token_types_of_pairs_are_read(inputs, tmp_path):
    """The label is the type of a text's second part: nothing else tells it."""
    random = np.random.default_rng(5)
    texts = [[2, *random.integers(10, 60, size=6).tolist(), 3] for _ in range(200)]
    labels = [row % 2 for row in range(200)]
    types = [[0] * 4 + [label] * 4 for label in labels]
    pairs = write_rows(tmp_path / "pairs", texts, labels, num_held_out=40, type_ids=types)
    metrics = multitask.run(spec_of(epochs=4), context_of(tmp_path, inputs | {"data/ends": pairs}))
    assert metrics["ends/test/accuracy"] > 0.9
    without = write_encoder(tmp_path / "distilbert", architecture="distilbert")
    inputs = {"encoder": without, "data/ends": pairs}
    metrics = multitask.run(spec_of(epochs=1), make_context(tmp_path / "b", train=True, **inputs))
    assert metrics["ends/test/accuracy"] < 0.75
