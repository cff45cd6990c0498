"""Encoders kept along a fine-tuning: they change nothing of it, and are what it was then."""

import pytest
import torch
from safetensors.torch import load_file

from layerscope.jobs import finetune, text_states
from layerscope.jobs.artifacts.layers import read_layers
from layerscope.jobs.encoders.loading import snapshot_folder
from layerscope.jobs.processes import release
from layerscope.jobs.specs.stages import TextStatesSpec
from layerscope.jobs.training.snapshots import forget_snapshots, steps_of
from tests.jobs.tiny import finetune_spec, make_context, planted, write_encoder, write_rows

CHECKPOINTS = (0.1, 0.5, 1.0, 9)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return write_encoder(tmp_path_factory.mktemp("checkpoints") / "encoder")


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    texts, labels = planted(60)
    return write_rows(tmp_path_factory.mktemp("checkpoints") / "task", texts, labels, num_held_out=12)


def context_of(folder, encoder, task):
    return make_context(folder, train=True, encoder=encoder, data=task)


def spec_of(checkpoints=CHECKPOINTS, **recipe):
    # 36 texts in batches of 4: nine steps an epoch.
    fields = {"epochs": 2, "batch_size": 4} | recipe
    return finetune_spec(**fields).model_copy(update={"checkpoints": checkpoints})


def encoder_of(context, checkpoint=None) -> dict[str, torch.Tensor]:
    return load_file(snapshot_folder(context.out, checkpoint) / "model.safetensors")


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], atol=0, rtol=0, msg=name)


@pytest.fixture(scope="module")
def kept(encoder, task, tmp_path_factory):
    context = context_of(tmp_path_factory.mktemp("kept"), encoder, task)
    return context, finetune.run(spec_of(), context)


def test_a_share_of_the_steps_is_a_step():
    assert steps_of((0.001, 0.5, 1.0, 7), 9) == {0.001: 1, 0.5: 4, 1.0: 9, 7: 7}
    with pytest.raises(ValueError, match="checkpoint 10 is never reached: the training has 9 steps"):
        steps_of((0.5, 10), 9)


def test_the_training_is_the_same_with_and_without(encoder, task, tmp_path, kept):
    context = context_of(tmp_path, encoder, task)
    metrics = finetune.run(spec_of(()), context)
    assert not list(context.out.glob("s*-*"))
    assert_same(encoder_of(context), encoder_of(kept[0]))
    for name in ("test/loss", "validation/accuracy", "train/loss_last"):
        assert metrics[name] == kept[1][name]


def test_encoders_are_those_of_their_steps(encoder, task, tmp_path, kept):
    context = context_of(tmp_path, encoder, task)
    training = finetune.begin(spec_of(()), context)
    by_step = {}
    for step in range(1, 19):
        training.train_to(step)
        state = training.model.encoder.state_dict()
        by_step[step] = {name: value.clone() for name, value in state.items()}
    for checkpoint, step in {0.1: 2, 0.5: 9, 9: 9, 1.0: 18}.items():
        assert_same(encoder_of(kept[0], checkpoint), by_step[step])
    start = load_file(encoder / "model.safetensors")
    name = "encoder.layer.1.output.dense.weight"
    assert not torch.equal(encoder_of(kept[0], 0.1)[name], encoder_of(kept[0], 1.0)[name])
    assert not any(torch.equal(encoder_of(kept[0], 0.1)[name], value) for value in start.values())


def test_adapters_are_added_to_the_weights_that_are_kept(encoder, task, tmp_path):
    context = context_of(tmp_path, encoder, task)
    # One evaluation: the best weights are the last.
    finetune.run(spec_of((0.5, 1.0), epochs=1, lora_rank=2), context)
    half, last, merged = (encoder_of(context, checkpoint) for checkpoint in (0.5, 1.0, None))
    assert_same(last, merged)
    name = "encoder.layer.0.attention.self.query.weight"
    assert not torch.equal(half[name], last[name])


def test_a_training_that_goes_on_after_a_kill_keeps_them_all(encoder, task, tmp_path, kept):
    context = context_of(tmp_path, encoder, task)
    killed = finetune.begin(spec_of(), context)
    killed.advance()
    killed.save()
    release(context.accelerator)
    again = finetune.begin(spec_of(), context)
    while not again.is_over:
        again.advance()
    again.finish()
    for checkpoint in CHECKPOINTS:
        assert_same(encoder_of(context, checkpoint), encoder_of(kept[0], checkpoint))


def test_what_a_diverged_training_never_reached_is_where_it_ended(encoder, task, tmp_path):
    context = context_of(tmp_path, encoder, task)
    training = finetune.begin(spec_of((0.5, 1.0)), context)
    training.advance()
    with torch.no_grad():
        training.model.head.weight.fill_(torch.nan)
    training.advance()
    assert training.finish()["diverged"] == 1
    assert_same(encoder_of(context, 1.0), encoder_of(context))
    assert all(value.isfinite().all() for value in encoder_of(context, 0.5).values())


def test_layers_are_extracted_at_a_checkpoint(kept, task, tmp_path):
    states = {}
    for checkpoint in (None, 0.1, 9):
        context = make_context(tmp_path / str(checkpoint), model=kept[0].out, data=task)
        spec = TextStatesSpec(encoder="", snapshot=checkpoint, pooling="mean", num_train=8, num_test=8)
        text_states.run(spec, context)
        states[checkpoint] = read_layers(context.out, "test").layers[-1]
    assert not (states[0.1] == states[9]).all()
    assert not (states[0.1] == states[None]).all()


def test_a_lost_encoder_is_never_replaced_by_another(encoder, task, tmp_path):
    context = context_of(tmp_path, encoder, task)
    training = finetune.begin(spec_of((0.5,), epochs=1), context)
    while not training.is_over:
        training.advance()
    forget_snapshots(context.scratch)
    with pytest.raises(AssertionError, match="passed checkpoint 0.5"):
        training.finish()
