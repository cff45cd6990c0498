"""Checkpoints along trainings in plans, and what is probed there."""

import pytest

from layerscope.orchestrator.errors import ConfigurationError
from layerscope.orchestrator.planning.stages.tuning_checkpoints import at
from tests.orchestrator.bench import SAMPLE, Bench

WORDS = {
    "task": "pos",
    "data": {"source": "sample_annotations", "label": "upos", "num_train": 9, "num_test": 9},
}


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def faults(bench, **changes) -> str:
    with pytest.raises(ConfigurationError) as refused:
        bench.open(**changes)
    return str(refused.value)


def test_every_checkpoint_is_probed_on_the_own_task_and_on_probing_tasks(bench):
    (variant,) = bench.plan(probing=[WORDS], measures={"checkpoints": [2, 1.0, 0.5]}).variants
    finetune = variant.stages["finetune"]
    assert finetune.spec.checkpoints == (0.5, 1.0, 2)
    for checkpoint in finetune.spec.checkpoints:
        for task, kind in (("probe", "text_states"), ("probe/pos", "span_states")):
            states = variant.stages[f"{task}/{at(checkpoint)}"].parents["states"]
            assert (states.kind, states.spec.snapshot) == (kind, checkpoint)
            assert states.parents["model"] == finetune
    names = [role for role in variant.stages if "/at-" in role]
    assert names == [f"{task}/at-{each}" for task in ("probe", "probe/pos") for each in (0.5, 1.0, 2)]


def test_the_order_in_which_they_are_written_is_no_difference(bench):
    plans = [bench.plan(measures={"checkpoints": written}) for written in ([0.1, 1.0], [1.0, 0.1])]
    assert plans[0].variants[0].key == plans[1].variants[0].key
    assert plans[0].variants[0].key != bench.plan().variants[0].key


def test_a_step_that_no_training_reaches_is_refused(bench):
    # 16 texts to train in batches of 8: two steps an epoch.
    recipe = {"epochs": 2, "batch_size": 8}
    fault = faults(bench, recipe=recipe, measures={"checkpoints": [5]})
    assert fault.startswith(
        "measures.checkpoints: the shortest training of task topic has 4 steps, not 5: at most 4"
    )
    assert bench.plan(recipe=recipe, measures={"checkpoints": [4]}).variants
    grid = {"train_size": [None, 0.5], "epochs": [1, 2]}
    assert "has 1 steps, not 2" in faults(bench, recipe=recipe, grid=grid, measures={"checkpoints": [2]})


def test_what_is_no_checkpoint_is_refused(bench):
    assert "measures.checkpoints.0" in faults(bench, measures={"checkpoints": [1.5]})
    assert "duplicate value 0.5" in faults(bench, measures={"checkpoints": [0.5, 0.5]})
    named = {"task": "at-0.5", "data": SAMPLE}
    assert "are reserved for checkpoints" in faults(bench, probing=[named])
