import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel

from layerscope.jobs import finetune
from layerscope.jobs.artifacts.tokenised import read_split
from layerscope.jobs.encoders.heads import Classifier, pool
from layerscope.jobs.encoders.loading import load_encoder
from layerscope.jobs.kernels.statistics.scores import accuracy, cross_entropy
from layerscope.jobs.targets.task_type import TaskType
from layerscope.jobs.text.tokenising.batches import pad
from tests.jobs.tiny import (
    NO_DROPOUT,
    curve,
    curves,
    finetune_spec,
    make_context,
    planted,
    write_encoder,
    write_rows,
    write_task,
)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return write_encoder(tmp_path_factory.mktemp("finetune") / "encoder")


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    texts, labels = planted(160)
    return write_rows(tmp_path_factory.mktemp("finetune") / "task", texts, labels, num_held_out=40)


def context_of(folder, encoder, task):
    return make_context(folder, train=True, encoder=encoder, data=task)


def predictions_of(context) -> dict:
    return json.loads((context.out / "test_predictions.json").read_text())


def weights_of(context) -> dict[str, torch.Tensor]:
    return load_file(context.out / "model.safetensors") | load_file(context.out / "head.safetensors")


def test_a_planted_signal_is_learnt_and_shuffled_labels_are_not(encoder, task, tmp_path):
    texts, labels = planted(160)
    shuffled = np.random.default_rng(1).permutation(labels).tolist()
    control = write_rows(tmp_path / "control", texts, shuffled, num_held_out=40)
    spec = finetune_spec(epochs=8)
    found = finetune.run(spec, context_of(tmp_path / "a", encoder, task))
    nothing = finetune.run(spec, context_of(tmp_path / "b", encoder, control))
    assert found["test/accuracy"] > 0.95
    # 40 coin flips exceed 30 once in a thousand times.
    assert nothing["test/accuracy"] < 0.75
    assert found["diverged"] == nothing["diverged"] == 0


def test_a_prepared_sample_corpus_is_trained_on_from_end_to_end(encoder, tmp_path):
    task = write_task(tmp_path / "task", encoder)
    context = context_of(tmp_path, encoder, task)
    spec = finetune_spec(epochs=2, evaluations_per_epoch=2, layer_decay=0.9)
    metrics = finetune.run(spec, context)
    assert set(metrics) == {
        *(
            f"{split}/{score}"
            for split in ("validation", "test")
            for score in ("accuracy", "macro_f1", "f1", "matthews", "loss")
        ),
        "train/seconds",
        "train/steps",
        "train/num_texts",
        "train/examples_per_second",
        "train/loss_first",
        "train/loss_last",
        "train/micro_batch_size",
        "diverged",
        "learned",
    }
    assert all(math.isfinite(value) for value in metrics.values())
    steps = 2 * math.ceil(len(read_split(task, "train").ids) / 8)
    assert metrics["train/steps"] == steps
    assert list(curve(context, "validation/accuracy")) == [round(k * steps / 4) for k in range(1, 5)]
    rates = curve(context, "train/learning_rate")
    assert max(rates.values()) <= 3e-3
    assert rates[steps] == 0
    groups = json.loads((context.out / "parameter_groups.json").read_text())
    sizes = [value.numel() for value in weights_of(context).values()]
    assert sum(group["num_parameters"] for group in groups) == sum(sizes)


def test_the_artifact_holds_what_the_metrics_say(encoder, task, tmp_path):
    context = context_of(tmp_path, encoder, task)
    metrics = finetune.run(finetune_spec(pooling="mean", epochs=2), context)
    test, stored = read_split(task, "test"), predictions_of(context)
    ids_BT, mask_BT = pad(test.texts, 0)
    head = load_file(context.out / "head.safetensors")
    with torch.inference_mode():
        hidden_BTD = AutoModel.from_pretrained(context.out)(ids_BT, mask_BT).last_hidden_state
        logits_BK = pool(hidden_BTD, mask_BT, "mean") @ head["weight"].T + head["bias"]
    assert (stored["ids"], stored["labels"]) == (list(test.ids), list(test.labels))
    assert stored["predictions"] == logits_BK.argmax(1).tolist()
    assert metrics["test/accuracy"] == accuracy(test.labels, stored["predictions"])
    assert metrics["test/loss"] == pytest.approx(cross_entropy(test.labels, logits_BK.numpy()), abs=1e-5)


def test_the_best_weights_are_kept_not_the_last(encoder, task, tmp_path):
    context = context_of(tmp_path, encoder, task)
    training = finetune.begin(finetune_spec(epochs=8), context)
    best = {"validation/accuracy": 0.0}
    while best["validation/accuracy"] < 0.6:
        best = training.advance()
    kept = {name: value.clone() for name, value in training.model.state_dict().items()}
    with torch.no_grad():
        for parameter in training.model.parameters():
            parameter.zero_()
    last = training.advance()
    assert last["validation/accuracy"] == 0.5 < best["validation/accuracy"]
    assert last["best/validation/accuracy"] == best["validation/accuracy"]
    assert last["best/validation/loss"] == best["validation/loss"]
    metrics = training.finish()
    assert metrics["validation/accuracy"] == best["validation/accuracy"]
    stored = weights_of(context)
    assert all(torch.equal(stored[name.split(".", 1)[1]], value) for name, value in kept.items())


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(encoder, task, tmp_path):
    contexts = [context_of(tmp_path / str(number), encoder, task) for number in range(3)]
    for context, seed in zip(contexts, (1, 1, 2), strict=True):
        finetune.run(finetune_spec(epochs=1, seed=seed), context)
    files = ("model.safetensors", "head.safetensors", "test_predictions.json")
    first, again, other = ([(c.out / name).read_bytes() for name in files] for c in contexts)
    assert first == again
    assert first[0] != other[0]
    assert curves(contexts[0]) == curves(contexts[1])


@pytest.mark.parametrize("num_saved", [1, 3])
def test_an_interrupted_run_that_is_resumed_ends_like_an_undisturbed_one(encoder, task, tmp_path, num_saved):
    spec = finetune_spec(epochs=2, evaluations_per_epoch=2, layer_decay=0.8)
    undisturbed = context_of(tmp_path / "undisturbed", encoder, task)
    expected = finetune.run(spec, undisturbed)
    interrupted = context_of(tmp_path / "interrupted", encoder, task)
    training = finetune.begin(spec, interrupted)
    for _ in range(num_saved):
        training.advance()
        training.save()
    training.train_to(training.progress.step + 2)
    torch.manual_seed(99)

    resumed = context_of(tmp_path / "interrupted", encoder, task)
    found = finetune.run(spec, resumed)
    assert curves(resumed) == curves(undisturbed)
    assert predictions_of(resumed) == predictions_of(undisturbed)
    assert all(
        torch.equal(value, weights_of(resumed)[name]) for name, value in weights_of(undisturbed).items()
    )
    clock = {"train/seconds", "train/examples_per_second"}
    assert {k: v for k, v in found.items() if k not in clock} == {
        k: v for k, v in expected.items() if k not in clock
    }


def test_a_run_that_was_never_saved_begins_its_curves_anew(encoder, task, tmp_path):
    for _ in range(2):
        context = context_of(tmp_path, encoder, task)
        training = finetune.begin(finetune_spec(epochs=2), context)
        training.advance()
    assert list(curve(context, "validation/accuracy")) == [10]


@pytest.mark.parametrize("learning_rate", [1e4, 1e30])
def test_a_rate_that_explodes_ends_as_diverged_with_finite_weights(encoder, task, tmp_path, learning_rate):
    context = context_of(tmp_path, encoder, task)
    metrics = finetune.run(finetune_spec(learning_rate=learning_rate, max_grad_norm=1e30), context)
    logged = [value for _, values in curves(context) for value in values.values()]
    assert all(math.isfinite(value) for value in [*metrics.values(), *logged])
    assert all(torch.isfinite(value).all() for value in weights_of(context).values())
    assert len(predictions_of(context)["predictions"]) == 40
    if learning_rate == 1e30:
        assert metrics["diverged"] == 1
        assert metrics["train/steps"] < 40
        assert torch.equal(
            weights_of(context)["embeddings.word_embeddings.weight"],
            load_encoder(encoder).embeddings.word_embeddings.weight,
        )


def test_a_run_that_diverges_late_keeps_what_was_best_before(encoder, task, tmp_path):
    context = context_of(tmp_path, encoder, task)
    training = finetune.begin(finetune_spec(epochs=4), context)
    best = training.advance()
    with torch.no_grad():
        training.model.head.weight.fill_(math.nan)
    scores = training.advance()
    assert training.is_over
    assert scores["validation/loss"] == best["validation/loss"]
    metrics = training.finish()
    assert metrics["diverged"] == 1
    assert metrics["validation/accuracy"] == best["validation/accuracy"]
    assert math.isfinite(metrics["test/loss"])


def test_batches_of_like_lengths_have_the_loss_of_batches_padded_to_the_longest(encoder, task, tmp_path):
    spec = finetune_spec(epochs=1, batch_size=32, seed=5)
    training = finetune.begin(spec, context_of(tmp_path, encoder, task))
    training.model.eval()
    train = read_split(task, "train")
    with torch.inference_mode():
        batches = [training.learner.next_batch(step) for step in range(3)]
        by_batch = [batch.mean_loss(batch.rows).item() for batch in batches]
        logits_BK = training.model(*pad(train.texts, 0))
        whole = torch.nn.functional.cross_entropy(logits_BK, torch.tensor(train.labels)).item()
    sizes = [len(batch.rows) for batch in batches]
    assert sorted(sizes) == [16, 32, 32]
    assert np.average(by_batch, weights=sizes) == pytest.approx(whole, abs=1e-5)


def test_an_epoch_may_have_fewer_steps_than_evaluations(encoder, task, tmp_path):
    context = context_of(tmp_path, encoder, task)
    spec = finetune_spec(epochs=2, batch_size=100, evaluations_per_epoch=5)
    finetune.run(spec, context)
    assert list(curve(context, "validation/loss")) == [1, 2]


def test_without_dropout_a_step_of_a_schedule_without_warmup_is_that_of_adamw(task, tmp_path):
    encoder = write_encoder(tmp_path / "encoder", **NO_DROPOUT)
    spec = finetune_spec(epochs=1, batch_size=80, warmup=0.0, learning_rate=1e-3, weight_decay=0.1)
    context = context_of(tmp_path, encoder, task)
    training = finetune.begin(spec, context)
    start = {name: value.clone() for name, value in training.model.state_dict().items()}
    model = Classifier(load_encoder(encoder), num_labels=2, pooling="mean")
    model.load_state_dict(start)
    train = read_split(task, "train")
    torch.nn.functional.cross_entropy(model(*pad(train.texts, 0)), torch.tensor(train.labels)).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    training.train_to(1)
    for name, parameter in model.named_parameters():
        # The first step of Adam (Kingma and Ba 2015, algorithm 1) moves by the rate against the sign; that
        # of a gradient that is rounding error alone, as that of a key's bias, says nothing.
        step = parameter.grad / (parameter.grad.abs() + 1e-8)
        kept = 1 - 1e-3 * 0.1 if parameter.ndim > 1 else 1.0
        expected, found = start[name] * kept - 1e-3 * step, training.model.get_parameter(name)
        clear = parameter.grad.abs() > 1e-6
        torch.testing.assert_close(found[clear], expected[clear], atol=1e-6, rtol=0)


def test_a_training_size_learns_from_so_many_texts_and_no_more_than_there_are(encoder, task, tmp_path):
    context = make_context(tmp_path / "part", train=True, encoder=encoder, data=task)
    metrics = finetune.run(finetune_spec(epochs=1, train_size=20), context)
    assert (metrics["train/num_texts"], metrics["train/steps"]) == (20, 3)
    context = make_context(tmp_path / "more", train=True, encoder=encoder, data=task)
    with pytest.raises(ValueError, match="train_size 1000 is more than the"):
        finetune.run(finetune_spec(train_size=1000), context)


@pytest.mark.parametrize(("selected_by", "chosen"), [(None, 0.9), ("matthews", 0.7)])
def test_the_best_weights_are_those_of_the_metric_that_is_asked_for(
    encoder, task, tmp_path, monkeypatch, selected_by, chosen
):
    spec = finetune_spec(epochs=2).model_copy(update={"selected_by": selected_by})
    training = finetune.begin(spec, context_of(tmp_path, encoder, task))
    script = iter([(0.9, 0.1), (0.7, 0.4)])

    def scripted(task, targets, logits_NK, *, prefix, own):
        right, correlation = next(script)
        return {"validation/loss": 1.0, "validation/accuracy": right, "validation/matthews": correlation}

    monkeypatch.setattr(TaskType, "scores", scripted)
    training.advance()
    last = training.advance()
    assert last["best/validation/accuracy"] == chosen
    assert last["best/validation/score"] == (0.4 if selected_by else 0.9)
