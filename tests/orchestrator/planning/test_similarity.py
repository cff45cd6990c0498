"""Measures of similarity as stages, and which pairs of variants are compared."""

import shutil

import pytest

from layerscope.orchestrator.errors import ConfigurationError
from layerscope.orchestrator.showing import print_plan
from tests.orchestrator.bench import LONG, SAMPLE, Bench, keys

TWO_TASKS = [{"task": "topic", "data": SAMPLE}, {"task": "mood", "data": SAMPLE | {"target": "sentiment"}}]
TEXTS = {"task": "texts", "data": SAMPLE | {"seed": 7}}
ALONE = {"probe": False, "cka": False, "depth": False}


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def pairs(plan) -> list[tuple[str, int, str, str]]:
    """Task, seed and condition of the first of each pair, and its role."""
    return [
        (one.task, one.seed, one.condition, role)
        for one in plan.variants
        for role in one.stages
        if role.startswith("between/")
    ]


def test_further_measures_are_taken_within_the_model_and_against_its_start(bench):
    (variant,) = bench.plan(measures={"similarity": ["rbf", "partial_cka"]}).variants
    roles = [role for role in variant.stages if role.startswith("similarity/")]
    assert roles == [
        "similarity/rbf/within",
        "similarity/rbf/start",
        "similarity/partial_cka/within",
        "similarity/partial_cka/start",
    ]
    tuned, begun = (variant.stages["cka/start"].parents[role] for role in ("states", "other"))
    assert variant.stages["similarity/rbf/within"].parents == {"states": tuned}
    assert variant.stages["similarity/rbf/start"].parents == {"states": tuned, "other": begun}
    view = variant.stages["finetune"].parents["data"]
    assert variant.stages["similarity/partial_cka/within"].parents == {"states": tuned, "data": view}


def test_further_measures_change_no_other_key(bench):
    before = keys(bench.plan())
    after = bench.plan(measures={"similarity": ["rbf", "cka"]}, seeds=[0, 1])
    assert before <= keys(after)
    assert before <= keys(bench.plan(measures={"cka_between": ["seeds"]}, seeds=[0, 1]))


def test_blocks_rest_on_the_maps_of_the_tuned_model_and_of_its_start(bench):
    first, second = bench.plan(seeds=[0, 1]).variants
    assert first.stages["blocks"].parents == {"map": first.stages["cka/within"]}
    assert first.stages["blocks/start"].parents == {"map": first.stages["cka/within/start"]}
    assert first.stages["blocks/start"] == second.stages["blocks/start"]
    assert first.stages["blocks"] != second.stages["blocks"]


def test_canonical_correlations_of_too_few_examples_are_refused(bench):
    bench.encoder(hidden_size=250, num_hidden_layers=2)
    with pytest.raises(ConfigurationError, match="pwcca of encoder .* num_test above 500, not 500"):
        bench.plan(measures={"similarity": ["pwcca"]})
    assert bench.plan(measures={"similarity": ["pwcca"], "num_test": 501}).variants


def test_every_pair_of_seeds_is_compared_once(bench):
    plan = bench.plan(
        measures=ALONE | {"cka_between": ["seeds"]}, seeds=[0, 1, 2], grid={"layer_decay": [1.0, 0.9]}
    )
    assert pairs(plan) == [
        (task, seed, condition, f"between/seeds/{other}")
        for task, condition in (("topic", "layer_decay=1"), ("topic", "layer_decay=0.9"))
        for seed, other in ((0, 1), (0, 2), (1, 2))
    ]
    first, second = plan.variants[:2]
    stage = first.stages["between/seeds/1"]
    assert stage.spec.measure == "cka"
    assert [stage.parents[role].parents["model"] for role in ("states", "other")] == [
        first.stages["finetune"],
        second.stages["finetune"],
    ]


def test_conditions_are_compared_with_the_same_seed(bench):
    plan = bench.plan(
        measures={"cka_between": ["conditions"]}, seeds=[0, 1], grid={"layer_decay": [1.0, 0.9]}
    )
    assert pairs(plan) == [
        ("topic", seed, "layer_decay=1", "between/conditions/layer_decay=0.9") for seed in (0, 1)
    ]
    (_, _, _, role) = pairs(plan)[0]
    first = plan.variants[0]
    # The states are those that the other measures look at.
    assert first.stages[role].parents["states"] == first.stages["probe"].parents["states"]


def test_conditions_that_are_one_run_are_not_compared(bench):
    plan = bench.plan(
        measures={"cka_between": ["conditions", "seeds"]},
        seeds=[0, 1],
        grid={"truncation": ["head", "tail"]},
    )
    assert pairs(plan) == [("topic", 0, "truncation=whole", "between/seeds/1")]
    long = bench.plan(
        tasks=[{"task": "topic", "data": LONG}],
        recipe={"max_length": 40},
        measures={"cka_between": ["conditions"]},
        grid={"truncation": ["head", "tail"]},
    )
    assert pairs(long) == [("topic", 0, "truncation=head", "between/conditions/truncation=tail")]


def test_models_of_two_tasks_are_compared_on_texts_that_both_read(bench):
    plan = bench.plan(tasks=TWO_TASKS, probing=[TEXTS], measures=ALONE | {"cka_between": ["tasks"]})
    assert pairs(plan) == [("topic", 0, "recipe", "between/tasks/texts/mood")]
    first, second = plan.variants
    stage = first.stages["between/tasks/texts/mood"]
    sides = [stage.parents[role] for role in ("states", "other")]
    assert sides[0].parents["data"] == sides[1].parents["data"] != first.stages["finetune"].parents["data"]
    assert [side.parents["model"] for side in sides] == [first.stages["finetune"], second.stages["finetune"]]


def test_a_plan_for_people_names_the_variant_that_a_training_is_of(bench, capsys):
    workspace = bench.open(tasks=TWO_TASKS, probing=[TEXTS], measures=ALONE | {"cka_between": ["tasks"]})
    print_plan(workspace, workspace.schedule(), all_stages=True)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    trainings = [line.partition("todo")[2] for line in lines if line.startswith("finetune")]
    assert trainings == [
        " 1 topic: recipe seed=0; after prepare",
        " 2 mood: recipe seed=0; after prepare",
    ]
    assert any(line.endswith("topic: cka against other; after text_states") for line in lines)


def test_frozen_encoders_are_compared_where_they_are_two(bench):
    folder = bench.encoder(num_hidden_layers=2, hidden_size=8)
    other = shutil.copytree(folder, bench.root / "other")
    (other / "model.safetensors").write_bytes(b"other weights")
    plan = bench.plan(
        encoders={"other": str(other)},
        recipe={"features": "last", "max_length": 400},
        grid={"encoder": ["main", "other"]},
        seeds=[0, 1],
        measures=ALONE | {"cka_between": ["seeds", "conditions"]},
    )
    assert pairs(plan) == [
        ("topic", seed, "encoder=main", "between/conditions/encoder=other") for seed in (0, 1)
    ]
    # One pair of encoders, whatever heads stand on them.
    assert len(keys(plan, "similarity")) == 1


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"measures": {"cka_between": ["seeds"]}}, "there is one seed"),
        ({"measures": {"cka_between": ["conditions"]}}, "there is one condition"),
        ({"measures": {"cka_between": ["tasks"]}, "probing": [TEXTS]}, "there is one task"),
        ({"measures": {"cka_between": ["tasks"]}, "tasks": TWO_TASKS}, "name such texts under probing"),
        (
            {
                "measures": {"cka_between": ["conditions"]},
                "search": {"space": {"epochs": {"low": 1, "high": 3}}, "trials": 2},
            },
            "conditions of a search are not compared",
        ),
        ({"measures": {"similarity": ["rbf", "rbf"]}}, r"measures.similarity.1: duplicate value rbf"),
        ({"measures": {"similarity": ["cka_rbf"]}}, "measures.similarity.0: must be one of cka, biased_cka"),
    ],
)
def test_pairs_that_there_are_not_are_refused(bench, changes, fault):
    with pytest.raises(ConfigurationError, match=fault):
        bench.plan(**changes)
