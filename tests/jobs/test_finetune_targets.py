"""Fine-tuning on numbers, on choices and on rows with marked spans."""

import json

import numpy as np
import pytest
import torch

from layerscope.jobs import finetune, prepare, tokenise_annotations
from layerscope.jobs.artifacts.examples import read_examples
from layerscope.jobs.context import StageContext
from layerscope.jobs.encoders.head_files import load_classifier
from layerscope.jobs.specs.annotations import TokeniseAnnotationsSpec
from layerscope.jobs.specs.stages import Columns, FilesData, PrepareSpec, SpanColumns, ValidationSplit
from layerscope.jobs.text.reading.corpora import digest
from layerscope.jobs.text.tokenising.inputs import inputs_of
from layerscope.jobs.text.tokenising.tokenizer import tokenizer_digest
from tests.jobs.tiny import NO_DROPOUT, finetune_spec, make_context, write_encoder

GOOD, BAD = ["good", "lovely"], ["bad", "awful"]
NEUTRAL = ["the", "film", "was", "on", "and", "it", "we", "they", "a", "with"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return write_encoder(tmp_path_factory.mktemp("targets") / "encoder", **NO_DROPOUT)


def sentence(random, *extra: str) -> str:
    words = [*random.choice(NEUTRAL, size=5), *extra]
    return " ".join(random.permutation(words))


def numbers(random, count):
    """The label is how many good words there are."""
    for _ in range(count):
        number = int(random.integers(0, 4))
        yield {"text": sentence(random, *["good"] * number), "label": number + 0.5}


def choices(random, count):
    """The right one of three choices is the one with a good word."""
    for _ in range(count):
        right = int(random.integers(3))
        texts = [sentence(random, "good" if place == right else "bad") for place in range(3)]
        yield {"text": "which is good", "choices": texts, "label": right}


def spans(random, count):
    """Whether the two marked words are the same."""
    for _ in range(count):
        first, second = random.choice(["good", "bad"], size=2)
        one, two = f"the {first} film was on {sentence(random)}", f"it was a {second} film {sentence(random)}"
        yield {
            "one": one,
            "two": two,
            "label": "same" if first == second else "different",
            "start1": 4,
            "end1": 4 + len(first),
            "start2": 9,
            "end2": 9 + len(second),
        }


def write(folder, make, *, num_train, num_test=60, shuffle=False):
    folder.mkdir(parents=True)
    random, paths = np.random.default_rng(0), {}
    for role, count in (("train", num_train), ("test", num_test)):
        rows = list(make(random, count))
        if shuffle:
            labels = random.permutation([row["label"] for row in rows]).tolist()
            rows = [row | {"label": label} for row, label in zip(rows, labels, strict=True)]
        paths[role] = folder / f"{role}.jsonl"
        paths[role].write_text("".join(json.dumps(row) + "\n" for row in rows))
    return paths


def prepared(folder, encoder, paths, **fields):
    spec = PrepareSpec(
        data=FilesData(**{role: digest(path) for role, path in paths.items()}),
        validation=ValidationSplit(fraction=0.2),
        tokenizer=tokenizer_digest(encoder),
        truncation="whole",
        max_length=64,
        **fields,
    )
    out = folder / "data"
    out.mkdir()
    prepare.run(spec, StageContext(inputs=paths | {"tokenizer": encoder}, out=out, scratch=out))
    return out


def marked(folder, encoder, paths):
    columns = Columns(
        text="one",
        text_pair="two",
        spans=(
            SpanColumns(start="start1", end="end1"),
            SpanColumns(of="text_pair", start="start2", end="end2"),
        ),
    )
    spec = TokeniseAnnotationsSpec(
        data=FilesData(**{role: digest(path) for role, path in paths.items()}),
        validation=ValidationSplit(fraction=0.2),
        tokenizer=tokenizer_digest(encoder),
        max_length=64,
        columns=columns,
    )
    out = folder / "data"
    out.mkdir()
    tokenise_annotations.run(spec, StageContext(inputs=paths | {"tokenizer": encoder}, out=out, scratch=out))
    return out


def tuned(folder, encoder, data, **recipe):
    context = make_context(folder, train=True, encoder=encoder, data=data)
    return context, finetune.run(finetune_spec(**{"epochs": 8} | recipe), context)


def logits_of(context, data) -> np.ndarray:
    with torch.inference_mode():
        return load_classifier(context.out).eval()(*inputs_of(read_examples(data, "test"), 0)).numpy()


def stored(context) -> dict:
    return json.loads((context.out / "test_predictions.json").read_text())


@pytest.mark.slow
def test_numbers_are_predicted(encoder, tmp_path):
    data = prepared(tmp_path, encoder, write(tmp_path / "rows", numbers, num_train=240), predict="number")
    context, metrics = tuned(tmp_path, encoder, data)
    assert metrics["test/pearson"] > 0.8
    assert metrics["test/spearman"] > 0.75
    mean = (metrics["test/pearson"] + metrics["test/spearman"]) / 2
    assert metrics["test/pearson_spearman"] == pytest.approx(mean)
    assert metrics["learned"] == 1
    assert not any(name.endswith("accuracy") for name in metrics)
    found = stored(context)
    assert found["labels"] == list(read_examples(data, "test").labels)
    np.testing.assert_allclose(found["predictions"], logits_of(context, data)[:, 0], atol=1e-5)
    squares = (np.array(found["labels"]) - found["predictions"]) ** 2
    assert metrics["test/loss"] == pytest.approx(squares.mean())


def test_a_head_for_numbers_begins_at_their_mean(encoder, tmp_path):
    data = prepared(tmp_path, encoder, write(tmp_path / "rows", numbers, num_train=40), predict="number")
    context = make_context(tmp_path, train=True, encoder=encoder, data=data)
    training = finetune.begin(finetune_spec(), context)
    assert training.model.head.bias.item() == pytest.approx(np.mean(read_examples(data, "train").labels))


def test_shuffled_numbers_are_not_learnt(encoder, tmp_path):
    paths = write(tmp_path / "rows", numbers, num_train=120, shuffle=True)
    data = prepared(tmp_path, encoder, paths, predict="number")
    _, metrics = tuned(tmp_path, encoder, data, epochs=4)
    # Of 60 numbers without a relation a correlation is below 0.42 but once in a thousand times.
    assert abs(metrics["test/pearson"]) < 0.42


@pytest.mark.slow
def test_the_right_choice_is_found(encoder, tmp_path):
    paths = write(tmp_path / "rows", choices, num_train=240)
    data = prepared(tmp_path, encoder, paths, columns=Columns(choices="choices"))
    context, metrics = tuned(tmp_path, encoder, data)
    assert metrics["test/accuracy"] > 0.9
    assert metrics["learned"] == 1
    logits_NC = logits_of(context, data)
    assert logits_NC.shape == (60, 3)
    assert stored(context)["predictions"] == logits_NC.argmax(1).tolist()


def test_a_choice_is_scored_whatever_stands_beside_it(encoder, tmp_path):
    """One logit for each choice by itself: in another order they are the same."""
    paths = write(tmp_path / "rows", choices, num_train=30)
    data = prepared(tmp_path, encoder, paths, columns=Columns(choices="choices"))
    context, _ = tuned(tmp_path, encoder, data, epochs=1)
    logits_NC = logits_of(context, data)
    rows = [json.loads(line) for line in paths["test"].read_text().splitlines()]
    turned = [row | {"choices": row["choices"][::-1], "label": 2 - row["label"]} for row in rows]
    paths["test"].write_text("".join(json.dumps(row) + "\n" for row in turned))
    (tmp_path / "turned").mkdir()
    other = prepared(tmp_path / "turned", encoder, paths, columns=Columns(choices="choices"))
    np.testing.assert_allclose(logits_of(context, other)[:, ::-1], logits_NC, atol=1e-5)


def test_shuffled_choices_are_not_learnt(encoder, tmp_path):
    paths = write(tmp_path / "rows", choices, num_train=120, shuffle=True)
    data = prepared(tmp_path, encoder, paths, columns=Columns(choices="choices"))
    _, metrics = tuned(tmp_path, encoder, data, epochs=4)
    # Guessing one of three is right in more than 33 of 60 once in a thousand times.
    assert metrics["test/accuracy"] < 0.56


@pytest.mark.slow
def test_two_spans_are_compared(encoder, tmp_path):
    data = marked(tmp_path, encoder, write(tmp_path / "rows", spans, num_train=300))
    split = read_examples(data, "test")
    assert {len(units) for units in split.spans} == {1}
    assert split.type_ids is not None
    context, metrics = tuned(tmp_path, encoder, data, epochs=20)
    assert metrics["test/accuracy"] > 0.85
    assert stored(context)["predictions"] == logits_of(context, data).argmax(1).tolist()


def assert_parts_add_up(folder, encoder, data, **fields):
    """The same training with batches whole, and in parts of one row and of three."""
    spec = finetune_spec(epochs=1, learning_rate=1e-3, optimizer="bert-adam", warmup=0.0, **fields)
    losses = []
    for size in (None, 1, 3):
        context = make_context(folder / str(size), train=True, encoder=encoder, data=data)
        context.micro_batch_size = size
        losses.append(finetune.run(spec, context)["test/loss"])
    # Sums in another order, in float32.
    assert losses == pytest.approx([losses[0]] * 3, abs=1e-5)


@pytest.mark.parametrize("kind", ["numbers", "choices"])
def test_parts_of_a_batch_add_up_to_it(encoder, tmp_path, kind):
    make, fields = {
        "numbers": (numbers, {"predict": "number"}),
        "choices": (choices, {"columns": Columns(choices="choices")}),
    }[kind]
    data = prepared(tmp_path, encoder, write(tmp_path / "rows", make, num_train=30), **fields)
    assert_parts_add_up(tmp_path, encoder, data)


def test_a_share_of_rows_with_numbers_is_drawn_from_all_alike(encoder, tmp_path):
    data = prepared(tmp_path, encoder, write(tmp_path / "rows", numbers, num_train=60), predict="number")
    _, metrics = tuned(tmp_path, encoder, data, epochs=1, train_size=0.5)
    assert metrics["train/num_texts"] == 24
