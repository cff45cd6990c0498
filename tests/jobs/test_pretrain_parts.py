"""A further pretraining in parts that fit into memory, and in another number format."""

import pytest
import torch
from safetensors.torch import load_file

from layerscope.jobs import pretrain
from layerscope.jobs.context import LOG
from tests.jobs.tiny import NO_DROPOUT, curve, make_context, pretrain_spec, write_encoder, write_texts

TEXTS = [f"{one * 3} {one * 2}. {one * 4}, the meal. {one} again." for one in "abcdefghijklmnop"]
KINDS = {
    "tokens": {},
    "pairs": {"next_sentence": True, "masking": "word"},
    "few masks": {"mask_probability": 0.02},
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    return {
        "encoder": write_encoder(folder / "encoder", **NO_DROPOUT),
        "corpus/0": write_texts(folder / "corpus", train=TEXTS, held_out=TEXTS[:5]),
    }


def context_of(folder, inputs, *, micro_batch_size=None):
    context = make_context(folder, inputs, train=True)
    context.micro_batch_size = micro_batch_size
    return context


def spec_of(**training):
    fields = {"steps": 4, "batch_size": 5, "block_length": 20, "learning_rate": 1e-3}
    return pretrain_spec(**fields | training)


def assert_alike(context, other):
    """Weights, but for the biases of keys: their gradient is rounding error, which Adam makes steps of."""
    weights, others = (load_file(one.out / "model.safetensors") for one in (context, other))
    assert weights.keys() == others.keys()
    for name, value in weights.items():
        if not name.endswith("key.bias"):
            # Sums in another order, in float32; weighing a batch wrongly moves weights by 1e-4 and more.
            torch.testing.assert_close(others[name], value, atol=1e-5, rtol=0, msg=name)


def run_short_of_memory(training, *, room: int) -> list[int]:
    """Let memory run out where more examples than there is room for go forward; returns the sizes tried."""
    sizes = []

    def fail(model, inputs):
        sizes.append(len(inputs[0]["input_ids"]))
        if sizes[-1] > room:
            raise torch.OutOfMemoryError("no room")

    # The losses themselves are what is scored on held-out texts too.
    training.model.register_forward_pre_hook(fail)
    return sizes


def advance_to_the_end(training) -> dict[str, float]:
    while not training.is_over:
        training.advance()
    return training.finish()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 2, 3])
def test_small_parts_train_as_the_whole_batch(inputs, tmp_path, size, kind):
    whole = context_of(tmp_path / "a", inputs)
    parts = context_of(tmp_path / "b", inputs, micro_batch_size=size)
    expected, found = (pretrain.run(spec_of(**KINDS[kind]), context) for context in (whole, parts))
    assert (expected["train/micro_batch_size"], found["train/micro_batch_size"]) == (5, size)
    assert_alike(whole, parts)
    for metric in set(expected) - {"train/micro_batch_size"}:
        assert found[metric] == pytest.approx(expected[metric], abs=1e-4)
    assert curve(parts, "train/mlm_loss") == pytest.approx(curve(whole, "train/mlm_loss"), abs=1e-4)


def test_a_part_may_have_nothing_to_predict(inputs, tmp_path):
    context = context_of(tmp_path, inputs, micro_batch_size=1)
    training = pretrain.begin(spec_of(**KINDS["few masks"]), context)
    masked = []

    def count(model, inputs):
        masked.append(int((inputs[0]["labels"] != -100).sum()))

    training.model.register_forward_pre_hook(count)
    training.advance()
    assert 0 in masked


def test_no_pass_has_more_examples_than_the_cluster_says(inputs, tmp_path):
    training = pretrain.begin(spec_of(), context_of(tmp_path, inputs, micro_batch_size=2))
    sizes = run_short_of_memory(training, room=2)
    advance_to_the_end(training)
    assert set(sizes) == {1, 2}


def test_where_memory_runs_out_parts_become_smaller_and_the_log_says_so(inputs, tmp_path):
    undisturbed, context = (context_of(tmp_path / name, inputs) for name in "ab")
    expected = pretrain.run(spec_of(), undisturbed)
    training = pretrain.begin(spec_of(), context)
    sizes = run_short_of_memory(training, room=1)
    metrics = advance_to_the_end(training)
    assert sizes.count(5) > 1  # in training and on held-out texts
    assert metrics["train/micro_batch_size"] == 1
    assert metrics["train/mlm_loss"] == pytest.approx(expected["train/mlm_loss"], abs=1e-4)
    assert metrics["validation/mlm_loss"] == pytest.approx(expected["validation/mlm_loss"], abs=1e-4)
    assert_alike(undisturbed, context)
    log = (context.scratch / LOG).read_text()
    assert log.splitlines() == [
        f"out of memory with {tried} examples at a time: from here on {size} at a time; "
        "the batch of one optimiser step stays as it is"
        for tried, size in ((5, 2), (2, 1))
    ]


def test_a_training_that_goes_on_keeps_the_size_that_memory_sufficed_for(inputs, tmp_path):
    undisturbed, context = (context_of(tmp_path / name, inputs) for name in "ab")
    pretrain.run(spec_of(), undisturbed)
    lost = pretrain.begin(spec_of(), context)
    run_short_of_memory(lost, room=3)
    lost.advance()
    lost.save()
    resumed = pretrain.begin(spec_of(), context_of(tmp_path / "b", inputs, micro_batch_size=4))
    sizes = run_short_of_memory(resumed, room=2)
    assert advance_to_the_end(resumed)["train/micro_batch_size"] == 2
    assert max(sizes) == 2
    assert_alike(undisturbed, context)


def test_no_room_for_one_example_ends_the_run_with_a_clear_error(inputs, tmp_path):
    training = pretrain.begin(spec_of(), context_of(tmp_path, inputs))
    training.model.register_forward_pre_hook(_fail_in_training)
    with pytest.raises(ValueError, match=r"out of memory with one example at a time: .* block_length"):
        training.advance()


def _fail_in_training(model, inputs):
    if model.training:
        raise torch.OutOfMemoryError("no room")


def test_bfloat16_computes_in_it_and_keeps_the_weights_in_float32(inputs, tmp_path):
    spec = spec_of(next_sentence=True, precision="bfloat16")
    training = pretrain.begin(spec, context_of(tmp_path / "bfloat16", inputs))
    formats = set()
    training.model.model.base_model.encoder.layer[0].attention.self.query.register_forward_hook(
        lambda module, inputs, output: formats.add(output.dtype)
    )
    metrics = advance_to_the_end(training)
    assert formats == {torch.bfloat16}
    saved = load_file(tmp_path / "bfloat16" / "out" / "model.safetensors")
    assert {value.dtype for value in saved.values()} == {torch.float32}
    expected = pretrain.run(spec_of(next_sentence=True), context_of(tmp_path / "float32", inputs))
    for metric in ("train/mlm_loss", "validation/mlm_loss", "validation/next_sentence_loss"):
        # bfloat16 has 8 bits: relative errors of 0.4 % in each product.
        assert metrics[metric] == pytest.approx(expected[metric], abs=0.03)
        assert metrics[metric] != expected[metric]
