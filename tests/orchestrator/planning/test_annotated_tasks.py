"""Annotated sentences under tasks: what is planned, what has no effect, and what is refused."""

import pytest

from layerscope.jobs.specs.stages import ValidationSplit
from layerscope.orchestrator.errors import ConfigurationError
from tests.orchestrator.bench import LONG, SAMPLE, Bench

WORDS = {
    "task": "pos",
    "data": {"source": "sample_annotations", "label": "upos", "num_train": 20, "num_test": 9},
}
TEXTS = {"task": "topic", "data": SAMPLE}


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    bench.encoder(num_hidden_layers=6)
    return bench


def faults(bench, **changes) -> str:
    with pytest.raises(ConfigurationError) as refused:
        bench.open(**changes)
    return str(refused.value)


def test_a_variant_learns_from_the_sentences_and_its_own_units_are_measured(bench):
    (variant,) = bench.plan(tasks=[WORDS]).variants
    finetune = variant.stages["finetune"]
    sentences = finetune.parents["data"]
    assert sentences.kind == "tokenise_annotations"
    assert sentences.spec.validation == ValidationSplit()
    similarity = {"cka/within", "cka/within/start", "cka/start", "blocks", "blocks/start"}
    assert set(variant.stages) == {"finetune", "probe", "probe/start", "depth"} | similarity
    states = variant.stages["probe"].parents["states"]
    assert (states.kind, states.parents["data"].key) == ("span_states", sentences.key)
    assert variant.stages["depth"].parents["states"] == states


def test_factors_of_texts_change_nothing_of_units(bench):
    grid = {
        "truncation": ["head", "windows"],
        "max_length": [20, 40],
        "pooling": ["cls", "mean"],
        "window_pooling": ["mean", "vote"],
        "layers": ["last", 3],
    }
    plan = bench.plan(tasks=[WORDS], grid=grid, measures={"probe": False, "cka": False, "depth": False})
    assert [(variant.num_cells, variant.recipe["layers"]) for variant in plan.variants] == [
        (16, "last"),
        (16, 3),
    ]
    shown = plan.variants[0].recipe
    without = ("truncation", "max_length", "pooling", "window_pooling", "head_tokens", "max_windows")
    assert {shown[factor] for factor in without} == {None}
    training = plan.variants[0].stages["finetune"].spec.training
    assert (training.pooling, training.window_pooling) == ("cls", None)


def test_texts_and_words_are_tuned_on_and_probed_in_one_experiment(bench):
    plan = bench.plan(tasks=[WORDS, TEXTS], probing=[WORDS | {"task": "tags"}, TEXTS | {"task": "topics"}])
    by_task = {variant.task: variant.stages for variant in plan.variants}
    kinds = {
        task: {role: stages[f"probe/{role}"].parents["states"].kind for role in ("tags", "topics")}
        for task, stages in by_task.items()
    }
    assert kinds == {task: {"tags": "span_states", "topics": "text_states"} for task in ("pos", "topic")}
    probed = by_task["pos"]["probe/topics"].parents["states"]
    assert probed.parents["model"] == by_task["pos"]["finetune"]


def test_sentences_are_trained_further_on_and_none_of_their_test_sentences_is(bench):
    pretraining = {"within": {"steps": 2}}
    plan = bench.plan(tasks=[WORDS, TEXTS], pretraining=pretraining, recipe={"pretraining": "within"})
    kinds = {
        variant.task: sorted(
            (role, parent.kind) for role, parent in variant.stages["pretrain"].parents.items()
        )
        for variant in plan.variants
    }
    tests = {"tokenise_annotations", "prepare"}
    assert dict(kinds["pos"])["corpus/0"] == "tokenise_annotations"
    assert dict(kinds["topic"])["corpus/0"] == "prepare"
    assert {kind for role, kind in kinds["topic"] if role.startswith("test/")} == tests


def test_a_train_size_counts_sentences(bench):
    assert faults(bench, tasks=[WORDS], recipe={"train_size": 19}) == (
        "train_size: task pos has 18 training texts, not 19: at most 18, or a share below 1"
    )
    assert bench.plan(tasks=[WORDS], recipe={"train_size": 18}).variants
    small = WORDS | {"sample": {"train": 10}}
    assert "task pos has 9 training texts" in faults(bench, tasks=[small], recipe={"train_size": 18})


def test_what_reads_texts_only_is_refused(bench):
    assert "here are labelled spans: features must be null" in faults(
        bench, tasks=[WORDS], recipe={"features": "last"}
    )
    joint = {"joint": {"epochs": 1}}
    assert "pos has labelled spans, and joint training is of texts with labels" in faults(
        bench, tasks=[WORDS, TEXTS], multi_task=joint
    )
    named = {"joint": {"epochs": 1, "tasks": ["topic"]}}
    plan = bench.plan(tasks=[WORDS, TEXTS], multi_task=named, recipe={"pretraining": "joint"})
    assert {variant.task for variant in plan.variants} == {"pos", "topic"}


def test_windows_of_texts_do_not_concern_words(bench):
    long = {"task": "topic", "data": LONG}
    plan = bench.plan(tasks=[WORDS, long], recipe={"truncation": "windows", "max_length": 40})
    pooled = {variant.task: variant.recipe["window_pooling"] for variant in plan.variants}
    assert pooled == {"pos": None, "topic": "mean"}


def test_a_sentence_is_no_longer_than_the_encoder_can_take(bench):
    bench.encoder(num_hidden_layers=6, max_position_embeddings=40)
    (variant,) = bench.plan(tasks=[WORDS], recipe={"max_length": 30}).variants
    assert variant.stages["finetune"].parents["data"].spec.max_length == 40
    bench.encoder(num_hidden_layers=6, max_position_embeddings=512)
    (variant,) = bench.plan(tasks=[WORDS], recipe={"max_length": 30}).variants
    assert variant.stages["finetune"].parents["data"].spec.max_length == 128
