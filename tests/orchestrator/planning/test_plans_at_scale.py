"""How much work a plan of many variants is: in proportion to the variants, whatever is asked."""

from collections import Counter
from itertools import combinations

import pytest

from layerscope.orchestrator.experiment.variants import grid_variants
from layerscope.orchestrator.planning import plan
from layerscope.orchestrator.planning.stages import compared_pairs as between
from layerscope.orchestrator.planning.stages.compared_pairs import pairs_of
from layerscope.orchestrator.showing import plan_object, print_plan, status_object, users_by_key
from layerscope.orchestrator.store.artifacts import Store
from tests.orchestrator.bench import SAMPLE, Bench
from tests.orchestrator.function_calls import counted_calls

TWO_TASKS = [{"task": "topic", "data": SAMPLE}, {"task": "mood", "data": SAMPLE | {"target": "sentiment"}}]
TEXTS = {"task": "texts", "data": SAMPLE | {"seed": 7}}
KINDS = ("seeds", "conditions", "tasks")


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def every_pair(kinds, planned):
    """Each variant against each: the obvious way."""
    for first, second in combinations(planned, 2):
        (one, _), (other, _) = first, second
        differing = [
            kind
            for kind, differs in zip(
                KINDS,
                (one.seed != other.seed, one.recipe != other.recipe, one.task != other.task),
                strict=True,
            )
            if differs
        ]
        for kind in kinds:
            if differing == [kind]:
                yield kind, first, second


@pytest.mark.parametrize("kinds", [(), ("seeds",), ("tasks", "conditions"), KINDS])
def test_the_pairs_are_those_of_each_variant_against_each(bench, kinds):
    workspace = bench.open(
        tasks=TWO_TASKS, grid={"layer_decay": [1.0, 0.9, 0.8], "warmup": [0.0, 0.1]}, seeds=[0, 1, 2]
    )
    variants = grid_variants(workspace.experiment)
    planned = [(variant, None) for variant in variants]
    assert list(pairs_of(kinds, planned)) == list(every_pair(kinds, planned))


@pytest.mark.parametrize("kinds", [[], ["seeds"], ["tasks"]], ids=["none", "seeds", "tasks"])
def test_only_variants_that_are_alike_meet(bench, kinds):
    """Pairs of seeds and tasks are as many for each condition, however many there are."""
    costs = []
    for num_conditions in (2, 4, 8):
        decays = [round(1 - 0.01 * number, 2) for number in range(num_conditions)]
        with counted_calls(between) as counts:
            found = bench.plan(
                tasks=TWO_TASKS,
                probing=[TEXTS],
                grid={"layer_decay": decays},
                seeds=[0, 1],
                measures={"cka_between": kinds},
            )
        costs.append(counts)
        roles = [role for variant in found.variants for role in variant.stages]
        num_pairs = sum(role.startswith("between/") for role in roles)
        assert num_pairs == {"": 0, "seeds": 2, "tasks": 2}["".join(kinds)] * num_conditions
    assert_in_proportion(costs)


@pytest.mark.parametrize("asked", ["plan", "all", "json", "status"])
def test_what_is_said_of_a_plan_takes_as_long_for_each_variant(bench, monkeypatch, capsys, asked):
    costs = [cost_of_saying(bench, monkeypatch, number, asked) for number in (4, 8, 16)]
    assert_in_proportion(costs)
    capsys.readouterr()


def assert_in_proportion(costs: list[Counter]) -> None:
    """Of plans each of which is twice as large as the one before."""
    assert costs[0]
    for name in costs[0] | costs[-1]:
        small, middle, large = (cost[name] for cost in costs)
        assert large - middle == 2 * (middle - small), name


def cost_of_saying(bench, monkeypatch, num_seeds: int, asked: str) -> Counter:
    """Stages that are visited, and what the store is asked."""
    counts: Counter = Counter()
    with monkeypatch.context() as patch, counted_calls(plan) as visits:
        count(patch, counts, Store, "has", "outcome")
        workspace = bench.open(seeds=list(range(num_seeds)), grid={"layer_decay": [1.0, 0.9]})
        schedule = workspace.schedule()
        match asked:
            case "plan" | "all":
                print_plan(workspace, schedule, all_stages=asked == "all")
            case "json":
                plan_object(workspace, schedule)
            case "status":
                status_object(workspace.study(schedule))
    return counts + visits


def test_the_users_of_a_stage_are_the_variants_that_need_it(bench):
    variants = bench.plan(
        tasks=TWO_TASKS, probing=[TEXTS], seeds=[0, 1], measures={"cka_between": ["tasks", "seeds"]}
    ).variants
    users = users_by_key(variants)
    assert users.keys() == plan.Plan(variants).stages().keys()
    for variant in variants:
        assert users[variant.key] == [variant]
    view = variants[0].stages["finetune"].parents["data"]
    assert users[view.key] == list(variants[:2])


def count(patch, counts: Counter, of, *names: str) -> None:
    for name in names:
        patch.setattr(of, name, counting(getattr(of, name), counts))


def counting(function, counts: Counter):
    def counted(*arguments, **options):
        counts[function.__name__] += 1
        return function(*arguments, **options)

    return counted
