import json

import numpy as np
import pytest
from safetensors.torch import load_file

from jobs import multitask
from jobs.encoders.loading import load_encoder
from jobs.specs.multitask import JointTraining, MultitaskSpec
from jobs.text.tokenizer import load_tokenizer
from tests.jobs.tiny import curve, make_context, planted, write_encoder, write_rows


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


def test_a_joint_training_that_diverges_says_so(inputs, tmp_path):
    context = context_of(tmp_path, inputs)
    with pytest.raises(ValueError, match=r"diverged by step \d, in task .* below 1e\+30 would be right"):
        multitask.run(spec_of(epochs=None, steps=6, learning_rate=1e30, warmup=0.0), context)
    assert not list(context.out.iterdir())
