"""Fine-tuning on labelled words, pairs and spans of annotated sentences."""

import json
from collections import Counter

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from layerscope.jobs import finetune, span_states, tokenise_annotations
from layerscope.jobs.artifacts.examples import read_examples, read_label_names, read_raw_texts
from layerscope.jobs.artifacts.sentences import SENTENCES
from layerscope.jobs.context import StageContext
from layerscope.jobs.encoders.head_files import load_classifier
from layerscope.jobs.kernels.statistics.scores import accuracy
from layerscope.jobs.measures.layer_dropping import tuned_head_stage as depth
from layerscope.jobs.measures.layer_dropping.specs import DepthSpec
from layerscope.jobs.measures.probe import linear_stage as probe
from layerscope.jobs.measures.probe.specs import ProbeSpec
from layerscope.jobs.specs.annotations import (
    AnnotatedFilesData,
    SampleAnnotationsData,
    SpanStatesSpec,
    TokeniseAnnotationsSpec,
)
from layerscope.jobs.specs.stages import Sample, ValidationSplit
from layerscope.jobs.text.reading.corpora import digest
from layerscope.jobs.text.tokenising.inputs import inputs_of
from layerscope.jobs.text.tokenising.tokenizer import tokenizer_digest
from tests.jobs.tiny import NO_DROPOUT, curve, finetune_spec, make_context, write_encoder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return write_encoder(tmp_path_factory.mktemp("units") / "encoder", **NO_DROPOUT)


def annotated(folder, encoder, label="upos", **fields):
    folder.mkdir(parents=True)
    # Few sentences have a preposition whose role is told.
    num_train, num_test = (300, 100) if label == "role" else (60, 20)
    data = SampleAnnotationsData(label=label, num_train=num_train, num_test=num_test)
    fields = {"validation": ValidationSplit(fraction=0.2, seed=3)} | fields
    spec = TokeniseAnnotationsSpec(data=data, tokenizer=tokenizer_digest(encoder), max_length=60, **fields)
    tokenise_annotations.run(spec, StageContext(inputs={"tokenizer": encoder}, out=folder, scratch=folder))
    return folder


@pytest.fixture(scope="module")
def data(encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("units")
    return {label: annotated(folder / label, encoder, label) for label in ("upos", "deprel", "role")}


def context_of(folder, encoder, data, **fields):
    return make_context(folder, train=True, encoder=encoder, data=data, **fields)


@pytest.mark.parametrize("label", ["upos", "deprel", "role"])
def test_what_can_be_read_off_words_is_learnt_and_kept(encoder, data, tmp_path, label):
    context = context_of(tmp_path, encoder, data[label])
    metrics = finetune.run(finetune_spec(epochs=4), context)
    test = read_examples(data[label], "test")
    commonest = max(Counter(test.targets()).values()) / len(test.targets())
    assert metrics["test/accuracy"] > commonest + 0.2
    assert metrics["learned"] == 1
    stored = json.loads((context.out / "test_predictions.json").read_text())
    assert (stored["ids"], stored["labels"]) == (test.target_ids(), test.targets())
    assert metrics["test/accuracy"] == accuracy(stored["labels"], stored["predictions"])
    with torch.inference_mode():
        logits_NK = load_classifier(context.out).eval()(*inputs_of(test, 0))
    assert stored["predictions"] == logits_NK.argmax(1).tolist()
    assert logits_NK.shape[1] == len(read_label_names(data[label]))
    assert metrics["train/num_texts"] < metrics["train/num_units"]


def test_a_head_reads_the_mean_of_each_span_and_pairs_one_after_the_other(encoder, data, tmp_path):
    context = context_of(tmp_path, encoder, data["deprel"])
    finetune.run(finetune_spec(epochs=1), context)
    model, test = load_classifier(context.out).eval(), read_examples(data["deprel"], "test")
    head = load_file(context.out / "head.safetensors")
    with torch.inference_mode():
        logits_NK = model(*inputs_of(test, 0))
        row = 0
        for ids, units in zip(test.texts[:3], test.spans[:3], strict=True):
            hidden_TD = model.encoder(input_ids=torch.tensor([list(ids)])).last_hidden_state[0]
            for spans in units:
                state = torch.cat([hidden_TD[first:last].mean(0) for first, last in spans])
                expected_K = head["weight"] @ state + head["bias"]
                # float32 sums of other batches and paddings
                torch.testing.assert_close(logits_NK[row], expected_K, atol=2e-5, rtol=0)
                row += 1


def test_shuffled_tags_are_not_learnt(encoder, data, tmp_path):
    folder = annotated(tmp_path / "data", encoder)
    content = json.loads((folder / SENTENCES).read_text())
    random = np.random.default_rng(0)
    for sentences in content["splits"].values():
        units = [unit for sentence in sentences for unit in sentence["units"]]
        for unit, label in zip(units, random.permutation([unit[1] for unit in units]), strict=True):
            unit[1] = str(label)
    (folder / SENTENCES).write_text(json.dumps(content))
    metrics = finetune.run(finetune_spec(epochs=2), context_of(tmp_path, encoder, folder))
    labels = read_examples(folder, "test").targets()
    commonest = max(Counter(labels).values()) / len(labels)
    # Three standard errors of a share of so many words.
    assert metrics["test/accuracy"] < commonest + 3 * (commonest * (1 - commonest) / len(labels)) ** 0.5


def test_every_unit_of_a_batch_weighs_the_same_however_sentences_are_parted(encoder, data, tmp_path):
    spec = finetune_spec(epochs=1, learning_rate=1e-3, optimizer="bert-adam", warmup=0.0)
    weights = {}
    for size in (None, 1, 3):
        context = context_of(tmp_path / str(size), encoder, data["role"])
        context.micro_batch_size = size
        finetune.run(spec, context)
        weights[size] = load_file(context.out / "head.safetensors")["weight"]
    for size in (1, 3):
        # Sums in another order, in float32; the steps themselves are a thousand times as large.
        torch.testing.assert_close(weights[size], weights[None], atol=1e-6, rtol=0)
    lengths = {len(units) for units in read_examples(data["role"], "train").spans}
    assert len(lengths) > 1


def test_the_loss_is_the_mean_over_the_units_of_a_batch(encoder, data, tmp_path):
    training = finetune.begin(finetune_spec(), context_of(tmp_path, encoder, data["upos"]))
    train = read_examples(data["upos"], "train")
    rows = [0, 5, 9]
    loss = training.learner.next_batch(0).mean_loss(rows)
    alone = [(training.learner.next_batch(0).mean_loss([row]), len(train.labels[row])) for row in rows]
    total = sum(number for _, number in alone)
    torch.testing.assert_close(loss, sum(each * number for each, number in alone) / total)


@pytest.mark.parametrize(
    "recipe",
    [
        {"layer_decay": 0.8},
        {"frozen_layers": 1},
        {"frozen_layers": "all"},
        {"lora_rank": 2},
        {"layers": (1,)},
        {"layers": (1, 2), "layer_pooling": "mean"},
        {"train_size": 20},
        {"precision": "bfloat16"},
    ],
)
def test_factors_of_training_work_on_units(encoder, data, tmp_path, recipe):
    context = context_of(tmp_path, encoder, data["upos"])
    metrics = finetune.run(finetune_spec(epochs=3, **recipe), context)
    assert metrics["train/loss_last"] < metrics["train/loss_first"]
    assert metrics["train/num_texts"] == recipe.get("train_size", metrics["train/num_texts"])
    with torch.inference_mode():
        logits_NK = load_classifier(context.out).eval()(*inputs_of(read_examples(data["upos"], "test"), 0))
    stored = json.loads((context.out / "test_predictions.json").read_text())["predictions"]
    # bfloat16 decides a few words otherwise.
    assert np.mean(np.array(stored) == logits_NK.argmax(1).numpy()) > 0.95


def test_layers_of_the_own_task_are_probed_and_the_last_depth_is_the_head(encoder, data, tmp_path):
    tuned = context_of(tmp_path / "tuned", encoder, data["deprel"])
    metrics = finetune.run(finetune_spec(epochs=2), tuned)
    states = make_context(tmp_path / "states", data=data["deprel"], model=tuned.out)
    span_states.run(SpanStatesSpec(encoder="", num_train=150, num_test=10_000), states)
    measured = make_context(tmp_path / "depth", states=states.out, model=tuned.out)
    found = depth.run(DepthSpec(), measured)
    assert found["full_accuracy"] == pytest.approx(metrics["test/accuracy"], abs=1e-9)
    probed = make_context(tmp_path / "probe", states=states.out)
    probe.run(ProbeSpec(), probed)
    assert len(curve(probed, "accuracy")) == 3


def test_sentences_that_validate_are_drawn_whole_and_recorded(encoder, tmp_path):
    folders = [annotated(tmp_path / name, encoder) for name in ("a", "b")]
    folders.append(annotated(tmp_path / "c", encoder, validation=ValidationSplit(fraction=0.2, seed=4)))
    ids = [
        {split: read_raw_texts(folder, split)[0] for split in ("train", "validation", "test")}
        for folder in folders
    ]
    assert ids[0] == ids[1] != ids[2]
    assert not set(ids[0]["train"]) & set(ids[0]["validation"])
    together = {*ids[0]["train"], *ids[0]["validation"]}
    assert len(ids[0]["validation"]) == round(0.2 * len(together))
    probed_only = annotated(tmp_path / "d", encoder, validation=None)
    assert set(read_raw_texts(probed_only, "train")[0]) == together
    assert set(json.loads((probed_only / SENTENCES).read_text())["splits"]) == {"train", "test"}


def test_a_sample_is_of_sentences(encoder, tmp_path):
    folder = annotated(tmp_path / "a", encoder, sample=Sample(train=30, test=5))
    sizes = {split: len(read_raw_texts(folder, split)[0]) for split in ("train", "validation", "test")}
    assert sizes == {"train": 24, "validation": 6, "test": 5}


def test_the_words_of_sentences_are_texts_to_train_further_on(encoder, data):
    from layerscope.jobs.text.pretraining.pretraining_texts import read_pretraining_texts

    texts = read_pretraining_texts({"corpus/0": data["upos"], "test/0": data["role"]})
    _, train = read_raw_texts(data["upos"], "train")
    assert set(texts.train) <= {text for (text,) in train}
    assert texts.train
    assert all(" " in text for text in texts.validation)


def write_units(path, *tags):
    line = {"tokens": ["the", "film"], "span": [1, 2]}
    lines = [line | {"tag": tag, "sent_id": place} for place, tag in enumerate(tags)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_sentences_that_validate_may_be_given(encoder, tmp_path):
    inputs = {
        "train": write_units(tmp_path / "train.jsonl", *"xyxyxyxy"),
        "validation": write_units(tmp_path / "dev.jsonl", *"xyy"),
        "test": write_units(tmp_path / "test.jsonl", *"xy"),
    }
    out = tmp_path / "out"
    out.mkdir()
    data = AnnotatedFilesData(label="tag", **{split: digest(path) for split, path in inputs.items()})
    spec = TokeniseAnnotationsSpec(
        data=data, tokenizer=tokenizer_digest(encoder), max_length=20, validation=ValidationSplit()
    )
    metrics = tokenise_annotations.run(
        spec, StageContext(inputs=inputs | {"tokenizer": encoder}, out=out, scratch=out)
    )
    assert read_examples(out, "validation").targets() == [0, 1, 1]
    assert metrics["train/units"] == 8
    assert metrics["validation/sentences_too_long"] == 0


def test_units_of_one_span_and_of_two_cannot_share_a_head(encoder, tmp_path):
    pair = {"tokens": ["the", "film"], "span": [0, 1], "span2": [1, 2], "tag": "x", "sent_id": 9}
    inputs = {split: write_units(tmp_path / f"{split}.jsonl", *"xyxy") for split in ("train", "test")}
    with inputs["test"].open("a") as file:
        file.write(json.dumps(pair) + "\n")
    data = AnnotatedFilesData(label="tag", **{split: digest(path) for split, path in inputs.items()})
    spec = TokeniseAnnotationsSpec(data=data, tokenizer=tokenizer_digest(encoder), max_length=20)
    with pytest.raises(ValueError, match="some labels have one span and others two"):
        tokenise_annotations.run(
            spec, StageContext(inputs=inputs | {"tokenizer": encoder}, out=tmp_path, scratch=tmp_path)
        )
