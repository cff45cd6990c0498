import math

import pytest
import torch
from transformers import AutoTokenizer

from jobs import pretrain
from jobs.encoders.loading import load_encoder
from tests.jobs.tiny import curve, make_context, pretrain_spec, write_encoder, write_rows, write_task


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return write_encoder(tmp_path_factory.mktemp("pretrain") / "encoder")


@pytest.fixture(scope="module")
def corpus(encoder, tmp_path_factory):
    return write_task(tmp_path_factory.mktemp("pretrain") / "corpus", encoder, max_length=None)


def context_of(folder, encoder, corpus):
    return make_context(folder, train=True, encoder=encoder, corpus=corpus)


def test_the_loss_on_held_out_text_falls_where_text_repeats_itself(encoder, tmp_path):
    texts = [[2, *range(20, 34), 3]] * 40
    corpus = write_rows(tmp_path / "corpus", texts, [0] * 40, num_held_out=8)
    context = context_of(tmp_path, encoder, corpus)
    metrics = pretrain.run(pretrain_spec(steps=60, batch_size=8), context)
    assert metrics["validation/mlm_loss_before"] == pytest.approx(math.log(300), abs=0.5)
    assert metrics["validation/mlm_loss"] < metrics["validation/mlm_loss_before"] - 1.5
    assert curve(context, "validation/mlm_loss") == {
        0: metrics["validation/mlm_loss_before"],
        60: metrics["validation/mlm_loss"],
    }
    assert metrics["train/blocks"] == math.ceil((24 * 15 - 1) / 14)
    assert metrics["train/passes"] == 60 * 8 / metrics["train/blocks"]


def test_the_same_spec_gives_the_same_bytes_and_another_seed_does_not(encoder, corpus, tmp_path):
    written = []
    for number, seed in enumerate((0, 0, 1)):
        context = context_of(tmp_path / str(number), encoder, corpus)
        pretrain.run(pretrain_spec(seed=seed), context)
        written.append((context.out / "model.safetensors").read_bytes())
    assert written[0] == written[1] != written[2]


def test_the_artifact_is_an_encoder_that_moved(encoder, corpus, tmp_path):
    context = context_of(tmp_path, encoder, corpus)
    metrics = pretrain.run(pretrain_spec(), context)
    assert set(metrics) == {
        "train/mlm_loss",
        "validation/mlm_loss",
        "validation/mlm_loss_before",
        "train/blocks",
        "train/passes",
    }
    tuned, start = load_encoder(context.out), load_encoder(encoder)
    assert all(
        not torch.equal(value, start.state_dict()[name])
        for name, value in tuned.state_dict().items()
        if name.endswith("weight")
    )
    text = "the meal was wonderful"
    tokens = AutoTokenizer.from_pretrained(context.out)(text)
    assert tokens == AutoTokenizer.from_pretrained(encoder)(text)
    assert list(tuned.state_dict()) == list(start.state_dict())


def test_a_second_run_begins_its_curves_anew(encoder, corpus, tmp_path):
    for _ in range(2):
        context = context_of(tmp_path, encoder, corpus)
        pretrain.run(pretrain_spec(steps=2), context)
    assert list(curve(context, "train/mlm_loss")) == [1, 2]


@pytest.mark.parametrize("architecture", ["electra", "distilbert", "modernbert", "albert"])
def test_encoders_of_other_shapes_can_be_pretrained(architecture, corpus, tmp_path):
    encoder = write_encoder(tmp_path / "encoder", architecture=architecture)
    context = context_of(tmp_path, encoder, corpus)
    metrics = pretrain.run(pretrain_spec(steps=2, learning_rate=1e-4), context)
    # Half of a nat is what 300 random scores of variance 1 cost at most.
    assert metrics["validation/mlm_loss_before"] == pytest.approx(math.log(300), abs=0.5)


@pytest.mark.parametrize("steps", [2, 6])
def test_a_pretraining_that_diverges_says_so(encoder, corpus, tmp_path, steps):
    context = context_of(tmp_path, encoder, corpus)
    spec = pretrain_spec(steps=steps, learning_rate=1e30, warmup=0.0)
    with pytest.raises(
        ValueError, match=r"diverged by step 2: .* a learning rate below 1e\+30 would be right"
    ):
        pretrain.run(spec, context)
    assert not list(context.out.iterdir())
