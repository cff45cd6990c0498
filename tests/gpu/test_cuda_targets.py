"""On a GPU every kind of target trains as on a processor, and a training that was broken off goes on."""

import pytest
import torch
from safetensors.torch import load_file

from layerscope.jobs import features, finetune, pretrain
from layerscope.jobs.artifacts.token_states import TokenStates
from layerscope.jobs.context import StageContext
from layerscope.jobs.specs.features import FeaturesSpec
from layerscope.jobs.specs.stages import Columns
from layerscope.jobs.training.micro_batches import in_batches
from tests.gpu.test_cuda import STEADY, on, on_both
from tests.jobs.test_finetune_answers import CLOZE, cloze
from tests.jobs.test_finetune_targets import choices, marked, numbers, prepared, spans, write
from tests.jobs.tiny import (
    finetune_spec,
    pretrain_spec,
    write_task,
)

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")

PREPARED = {
    "numbers": (numbers, {"predict": "number"}),
    "choices": (choices, {"columns": Columns(choices="choices")}),
    "answers": (cloze, {"columns": CLOZE}),
}


def data_of(kind, folder, encoder):
    """Numbers, one right choice, several right ones, or pairs of marked words."""
    make, fields = PREPARED.get(kind, (spans, {}))
    paths = write(folder / "rows", make, num_train=60, num_test=24)
    return marked(folder, encoder, paths) if kind == "spans" else prepared(folder, encoder, paths, **fields)


@pytest.mark.parametrize("kind", [*PREPARED, "spans"])
def test_a_target_trains_as_on_a_processor(encoder, tmp_path, kind):
    data = data_of(kind, tmp_path, encoder)
    contexts, metrics = on_both(
        finetune, finetune_spec(**STEADY), tmp_path, trains=True, encoder=encoder, data=data
    )
    losses = [{name: value for name, value in one.items() if name.endswith("loss")} for one in metrics]
    assert "test/loss" in losses[0]
    assert losses[1] == pytest.approx(losses[0], abs=1e-3)
    for file in ("model.safetensors", "head.safetensors"):
        cpu, cuda = (load_file(context.out / file) for context in contexts)
        assert cuda.keys() == cpu.keys()
        for name, weights in cpu.items():
            torch.testing.assert_close(cuda[name], weights, atol=1e-3, rtol=0, msg=name)


def test_a_training_that_goes_on_ends_in_the_same_weights(encoder, task, tmp_path):
    spec = finetune_spec(**STEADY | {"epochs": 4})
    inputs = {"encoder": encoder, "data": task}
    whole = on("cuda", tmp_path / "whole", trains=True, **inputs)
    finetune.run(spec, whole)
    first = finetune.begin(spec, on("cuda", tmp_path / "broken", trains=True, **inputs))
    first.advance()
    first.save()
    first.advance()
    again = on("cuda", tmp_path / "broken", trains=True, **inputs)
    finetune.run(spec, again)
    assert_same_weights(whole, again)


def test_a_pretraining_that_goes_on_ends_in_the_same_weights(encoder, tmp_path):
    corpus = write_task(tmp_path / "corpus", encoder, max_length=None)
    spec, roles = pretrain_spec(learning_rate=1e-4), {"corpus/0": corpus}
    whole = on("cuda", tmp_path / "whole", roles, trains=True, encoder=encoder)
    pretrain.run(spec, whole)
    first = pretrain.begin(spec, on("cuda", tmp_path / "broken", roles, trains=True, encoder=encoder))
    for _ in range(3):
        first.advance()
    first.save()
    first.advance()
    again = on("cuda", tmp_path / "broken", roles, trains=True, encoder=encoder)
    pretrain.run(spec, again)
    assert_same_weights(whole, again)


def assert_same_weights(whole: StageContext, again: StageContext) -> None:
    """But for the order in which a GPU adds gradients of embeddings up."""
    expected, found = (load_file(context.out / "model.safetensors") for context in (whole, again))
    assert found.keys() == expected.keys()
    for name, weights in expected.items():
        # A bias of the keys has a gradient of rounding errors alone.
        if not name.endswith("key.bias"):
            torch.testing.assert_close(found[name], weights, atol=1e-4, rtol=0, msg=name)


def test_scoring_goes_on_with_fewer_rows_where_memory_runs_out():
    row_bytes = 32 * 2**20
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 3.5 * row_bytes) / total)

    def score(rows):
        return torch.zeros(len(rows), row_bytes, dtype=torch.uint8, device="cuda").sum(dim=1).tolist()

    try:
        found = in_batches(range(8), score, size=8)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert [row for rows, _ in found for row in rows] == list(range(8))
    assert max(len(rows) for rows, _ in found) in (1, 2)


def test_states_of_tokens_are_those_of_a_processor(encoder, task, tmp_path):
    contexts, _ = on_both(
        features, FeaturesSpec(encoder="tiny", layers=(0, 2)), tmp_path, encoder=encoder, data=task
    )
    cpu, cuda = (TokenStates(context.out, "test") for context in contexts)
    assert cuda.lengths == cpu.lengths
    for row in range(len(cpu.lengths)):
        # Neighbours in float16, which has 11 bits.
        torch.testing.assert_close(cuda.text(row), cpu.text(row), atol=1e-3, rtol=1e-3)
