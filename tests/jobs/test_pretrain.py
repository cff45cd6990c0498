import json
import math

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from layerscope.jobs import pretrain
from layerscope.jobs.artifacts.overlap import OVERLAP
from layerscope.jobs.encoders.loading import load_encoder, load_for_pretraining
from layerscope.jobs.processes import release
from tests.jobs.tiny import (
    CONFIGS,
    curve,
    make_context,
    pretrain_spec,
    write_encoder,
    write_task,
    write_texts,
)

DOCUMENT = "the meal was wonderful. we will come again. the waiter was kind."


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return write_encoder(tmp_path_factory.mktemp("pretrain") / "encoder")


@pytest.fixture(scope="module")
def corpus(encoder, tmp_path_factory):
    return write_task(tmp_path_factory.mktemp("pretrain") / "corpus", encoder, max_length=None)


def context_of(folder, encoder, corpus, **tests):
    roles = {"corpus/0": corpus} | {role.replace("_", "/"): test for role, test in tests.items()}
    return make_context(folder, roles, train=True, encoder=encoder)


def weights(folder):
    return load_file(folder / "model.safetensors")


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_the_loss_on_held_out_text_falls_where_text_repeats_itself(encoder, tmp_path):
    text = "abcdefghijklmn"  # one letter a token, with its mark
    corpus = write_texts(tmp_path / "corpus", train=[text] * 24, held_out=[text] * 8)
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
        "train/overlap_removed",
        "train/micro_batch_size",
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


@pytest.mark.parametrize("architecture", sorted(set(CONFIGS) - {"bert"}))
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
    with pytest.raises(ValueError, match=r"diverged by step 2: .* a learning rate below 1e\+30"):
        pretrain.run(spec, context)
    assert not list(context.out.iterdir())


def test_training_texts_of_a_test_set_are_left_out_counted_and_listed(encoder, tmp_path):
    own = write_texts(
        tmp_path / "own",
        train=["the meal was wonderful", "we will come again", "The rain: stopped?", "never again"],
        held_out=["the end"],
        test=["the rain stopped", "we will come again!"],
    )
    other = write_texts(tmp_path / "other", train=["nothing"], test=["THE MEAL WAS WONDERFUL."])
    context = context_of(tmp_path, encoder, own, test_0=own, test_1=other)
    metrics = pretrain.run(pretrain_spec(steps=2), context)
    assert metrics["train/overlap_removed"] == 3
    assert json.loads((context.out / OVERLAP).read_text()) == {
        "removed": 3,
        "by_test": {
            "test/0": [{"corpus": "corpus/0", "id": "2"}, {"corpus": "corpus/0", "id": "3"}],
            "test/1": [{"corpus": "corpus/0", "id": "1"}],
        },
    }
    clean = write_texts(tmp_path / "clean", train=["never again"], held_out=["the end"])
    alike = context_of(tmp_path / "alike", encoder, clean)
    pretrain.run(pretrain_spec(steps=2), alike)
    assert equal(weights(context.out), weights(alike.out))


def test_a_corpus_that_is_all_test_text_is_refused(encoder, tmp_path):
    corpus = write_texts(tmp_path / "corpus", train=["one", "two"], test=["One", "Two"])
    with pytest.raises(ValueError, match="all 2 training texts are also in a test set"):
        pretrain.run(pretrain_spec(), context_of(tmp_path, encoder, corpus, test_0=corpus))


def test_several_corpora_are_read_as_one(encoder, tmp_path):
    texts = ["the meal was wonderful", "we will come again"]
    both = write_texts(tmp_path / "both", train=texts, held_out=texts)
    parts = {
        f"corpus/{number}": write_texts(tmp_path / str(number), train=[text], held_out=[text])
        for number, text in enumerate(texts)
    }
    whole, parted = (
        context_of(tmp_path, encoder, both),
        make_context(tmp_path / "parted", parts, train=True, encoder=encoder),
    )
    assert pretrain.run(pretrain_spec(), whole) == pretrain.run(pretrain_spec(), parted)
    assert equal(weights(whole.out), weights(parted.out))


def test_a_snapshot_is_the_encoder_of_a_run_that_stops_there_under_the_same_schedule(
    encoder, corpus, tmp_path
):
    context = context_of(tmp_path / "whole", encoder, corpus)
    pretrain.run(pretrain_spec(snapshots=(3, 5)), context)
    for step in (3, 5):
        stopped = pretrain.begin(pretrain_spec(), context_of(tmp_path / str(step), encoder, corpus))
        for _ in range(step):
            stopped.advance()
        expected = stopped.model.model.base_model.state_dict()
        kept = load_encoder(context.out / f"step-{step}").state_dict()
        assert equal(dict(kept), dict(expected))
    assert not equal(weights(context.out / "step-3"), weights(context.out))


def test_snapshots_survive_a_loss_and_the_curves_go_on(encoder, corpus, tmp_path):
    spec = pretrain_spec(snapshots=(2, 6))
    undisturbed, context = (context_of(tmp_path / name, encoder, corpus) for name in ("a", "b"))
    expected = pretrain.run(spec, undisturbed)
    lost = pretrain.begin(spec, context)
    for _ in range(4):
        lost.advance()
    lost.save()
    lost.advance()
    release(context.accelerator)
    assert pretrain.run(spec, context) == expected
    for part in (".", "step-2", "step-6"):
        assert equal(weights(undisturbed.out / part), weights(context.out / part))
    assert curve(context, "train/mlm_loss") == curve(undisturbed, "train/mlm_loss")


def test_a_chain_goes_on_from_encoder_and_heads(encoder, corpus, tmp_path):
    first = context_of(tmp_path / "first", encoder, corpus)
    ended = pretrain.run(pretrain_spec(), first)
    second = context_of(tmp_path / "second", first.out, corpus)
    assert pretrain.run(pretrain_spec(), second)["validation/mlm_loss_before"] == ended["validation/mlm_loss"]


def test_a_pooler_that_training_does_not_use_is_kept(corpus, tmp_path):
    folder = write_encoder(tmp_path / "encoder")
    load_for_pretraining(folder, next_sentence=True).save_pretrained(folder)
    context = context_of(tmp_path, folder, corpus)
    pretrain.run(pretrain_spec(steps=2), context)
    name = "bert.pooler.dense.weight"
    assert torch.equal(weights(context.out)[name], weights(folder)[name])


@pytest.mark.slow
def test_next_sentences_are_learnt_where_sentences_tell_their_order(tmp_path):
    encoder = write_encoder(tmp_path / "encoder")
    texts = [f"{letter * 3} {letter * 2}. {letter * 4}." for letter in "abcdefghij"] * 6
    corpus = write_texts(tmp_path / "corpus", train=texts, held_out=texts[:20])
    context = context_of(tmp_path, encoder, corpus)
    spec = pretrain_spec(next_sentence=True, steps=150, batch_size=16, block_length=20, learning_rate=5e-3)
    metrics = pretrain.run(spec, context)
    assert metrics["train/next_sentence_share"] == 0.5
    before = curve(context, "validation/next_sentence_loss")[0]
    assert before == pytest.approx(math.log(2), abs=0.1)
    # A coin costs 0.69 nats; as letters come again in other documents, 0.15 is what cannot be known.
    assert metrics["validation/next_sentence_loss"] < 0.5


def test_few_true_pairs_and_many_passes_are_said_in_the_log(encoder, tmp_path, caplog):
    texts = [DOCUMENT, *["a single question?"] * 3]
    corpus = write_texts(tmp_path / "corpus", train=texts, held_out=["no pair here"])
    metrics = pretrain.run(
        pretrain_spec(next_sentence=True, steps=41, masking="word"), context_of(tmp_path, encoder, corpus)
    )
    assert metrics["train/next_sentence_share"] == 0.25
    assert "25% of the sentence pairs are true next sentences" in caplog.text
    assert "41 epochs over the corpus" in caplog.text


def test_texts_without_a_next_sentence_are_refused(encoder, tmp_path):
    corpus = write_texts(tmp_path / "corpus", train=["one.", "two."])
    with pytest.raises(ValueError, match="no document among 2 has two sentences"):
        pretrain.run(pretrain_spec(next_sentence=True), context_of(tmp_path, encoder, corpus))
