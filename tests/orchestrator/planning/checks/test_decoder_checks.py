"""Decoder-only models in plans: their first token and masked tokens are refused, and nothing else."""

import json

import pytest

from layerscope.orchestrator.errors import ConfigurationError
from tests.orchestrator.bench import SAMPLE, Bench

WHY = "attention in encoder (gpt2) is causal"


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    bench.encoder(model_type="gpt2", n_layer=4, n_positions=1024)
    return bench


def faults(bench, **changes) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        bench.open(**changes)
    return str(refused.value).splitlines()


def test_the_first_token_of_a_decoder_is_refused(bench):
    told = f"pooling: {WHY}: must be last or mean, not cls"
    assert faults(bench) == [told]
    assert told in faults(bench, grid={"pooling": ["mean", "cls"]})


@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_a_decoder_is_a_subject_of_every_measure(bench, pooling):
    plan = bench.plan(recipe={"pooling": pooling, "layer_decay": 0.9, "frozen_layers": 2, "max_length": 400})
    (variant,) = plan.variants
    assert {"finetune", "probe", "probe/start", "cka/start", "depth"} <= set(variant.stages)
    assert variant.stages["probe"].parents["states"].spec.pooling == pooling


def test_an_encoder_and_a_decoder_may_each_have_their_own_pooling(bench):
    other = bench.root / "other"
    other.mkdir()
    for path in (bench.root / "encoder").iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    (other / "config.json").write_text(json.dumps({"model_type": "bert", "num_hidden_layers": 4}))
    plan = bench.plan(
        encoders={"bert": {"folder": str(other)}},
        grid={"encoder": ["main", "bert"], "pooling": ["cls", "last"]},
        exclude=[{"encoder": ["main"], "pooling": ["cls"]}, {"encoder": ["bert"], "pooling": ["last"]}],
    )
    assert [variant.condition for variant in plan.variants] == [
        "pooling=cls encoder=bert",
        "pooling=last encoder=main",
    ]


def test_masked_tokens_are_refused_and_joint_training_is_not(bench):
    recipe = {"pooling": "last", "pretraining": "own", "max_length": 400}
    masked = {"own": {"steps": 4}}
    told = f"pretraining: {WHY}: it cannot predict masked tokens, so must be none, not own"
    assert told in faults(bench, recipe=recipe, pretraining=masked)
    tasks = [{"task": name, "data": SAMPLE | {"target": name}} for name in ("topic", "sentiment")]
    told = f"multi_task.own.pooling: {WHY}: must be last or mean, not cls"
    assert told in faults(bench, recipe=recipe, tasks=tasks, multi_task={"own": {"epochs": 1}})
    chained = {"epochs": 1, "pooling": "mean", "after": "masked", "tasks": ["topic"]}
    told = f"multi_task.own.after: {WHY}: it cannot predict masked tokens: leave it out"
    pretraining = {"masked": {"steps": 4}}
    assert told in faults(
        bench, recipe=recipe, tasks=tasks, multi_task={"own": chained}, pretraining=pretraining
    )
    plan = bench.plan(recipe=recipe, tasks=tasks, multi_task={"own": {"epochs": 1, "pooling": "mean"}})
    assert len(plan.variants) == 2


def test_an_encoder_with_causal_attention_is_known_by_its_passes_not_by_its_type(bench):
    bench.encoder(model_type="bert", facts={"is_causal": True})
    (fault,) = faults(bench)
    assert fault.startswith("pooling: attention in encoder (bert) is causal")


def test_texts_beyond_its_positions_are_refused(bench):
    bench.encoder(model_type="gpt2", n_layer=4, n_positions=20)
    long = [{"task": "topic", "data": SAMPLE | {"length": "long"}}]
    (told,) = faults(bench, tasks=long, recipe={"pooling": "last", "max_length": 400})
    assert told == (
        "max_length: encoder has positions for 20 tokens, not for 400, and task topic has longer texts"
    )
