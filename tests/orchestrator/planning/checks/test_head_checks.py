"""Heads in plans: what reads the same is one stage, and what the encoder lacks is refused."""

import pytest

from layerscope.orchestrator.errors import ConfigurationError
from layerscope.orchestrator.planning.stages.measure_stages import lacking_notes
from tests.orchestrator.bench import LONG, Bench

POOLER = {"has_pooler": True}
LONG_TASK = {"tasks": [{"task": "topic", "data": LONG}]}


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    bench.encoder(num_hidden_layers=6)
    return bench


def faults(bench, **changes) -> str:
    with pytest.raises(ConfigurationError) as refused:
        bench.open(**changes)
    return str(refused.value)


def test_several_spellings_of_the_same_layers_are_one_run(bench):
    plan = bench.plan(grid={"layers": ["last", 6, "last-1", [6], "last-2", [5, 6], [6, 5], 3]})
    assert [(variant.condition, variant.num_cells) for variant in plan.variants] == [
        ("layers=last", 4),
        ("layers=last-2", 3),
        ("layers=3", 1),
    ]
    layers = [variant.stages["finetune"].spec.training.layers for variant in plan.variants]
    assert layers == ["last", (5, 6), (3,)]


def test_a_list_of_layers_is_named_without_spaces(bench):
    plan = bench.plan(grid={"layers": ["last", [1, 4]]})
    assert [variant.condition for variant in plan.variants] == ["layers=last", "layers=[1,4]"]


def test_the_pooling_of_layers_matters_only_where_several_are_read(bench):
    grid = {"layers": ["last", 3, "all"], "layer_pooling": ["concat", "mean", "max"]}
    plan = bench.plan(grid=grid)
    assert [(variant.condition, variant.num_cells) for variant in plan.variants] == [
        ("layers=last layer_pooling=None", 3),
        ("layers=3 layer_pooling=None", 3),
        ("layers=all layer_pooling=concat", 1),
        ("layers=all layer_pooling=mean", 1),
        ("layers=all layer_pooling=max", 1),
    ]


def test_the_pooling_of_windows_matters_only_where_texts_are_in_windows(bench):
    grid = {"truncation": ["head", "windows"], "window_pooling": ["mean", "vote"]}
    plan = bench.plan(recipe={"max_length": 40}, grid=grid, **LONG_TASK)
    assert [(variant.condition, variant.num_cells) for variant in plan.variants] == [
        ("window_pooling=None truncation=head", 2),
        ("window_pooling=mean truncation=windows", 1),
        ("window_pooling=vote truncation=windows", 1),
    ]
    (short,) = bench.plan(recipe={"max_length": 400}, grid=grid).variants
    assert (short.num_cells, short.recipe["truncation"]) == (4, "whole")
    assert short.stages["finetune"].spec.training.window_pooling is None


def test_depth_is_measured_of_linear_heads_on_one_layer_of_whole_texts(bench):
    bench.encoder(num_hidden_layers=6, facts=POOLER)

    def measured(**recipe) -> bool:
        workspace = bench.open(recipe={"max_length": 40} | recipe, **LONG_TASK)
        plan = workspace.schedule().plan
        is_measured = "depth" in plan.variants[0].stages
        assert (not lacking_notes(workspace.experiment, plan.variants)) == is_measured
        return is_measured

    assert measured()
    assert measured(layers=3)
    assert measured(pooling="mean", truncation="middle")
    assert not measured(pooling="pooler")
    assert not measured(layers="all", layer_pooling="max")
    assert not measured(truncation="windows")


def test_what_is_not_measured_is_said_in_the_plan_and_the_report(bench, capsys):
    from layerscope.orchestrator.showing import print_plan

    workspace = bench.open(grid={"layers": ["last", "all"]})
    schedule = workspace.schedule()
    note = "layer dropping (depth) is not measured for 1 of 2 variants"
    print_plan(workspace, schedule, all_stages=False)
    assert note in capsys.readouterr().out
    workspace = bench.open(grid={"layers": ["last", "all"]}, measures={"depth": False})
    assert not lacking_notes(workspace.experiment, workspace.schedule().plan.variants)


@pytest.mark.parametrize("pooling", ["cls", "pooler"])
def test_layers_are_looked_at_by_the_first_token_where_the_pooler_reads_it(bench, pooling):
    bench.encoder(num_hidden_layers=6, facts=POOLER)
    (variant,) = bench.plan(recipe={"pooling": pooling}).variants
    assert variant.stages["probe"].parents["states"].spec.pooling == "cls"
    assert ("pooler" in variant.stages["finetune"].files) == (pooling == "pooler")


@pytest.mark.parametrize(
    ("layers", "fault"),
    [
        (7, "layers: encoder: layer 7 does not exist: there are layers 1 to 6"),
        ([2, 9], "layers: encoder: layer 9 does not exist: there are layers 1 to 6"),
        ("first-8", "layers: encoder: first-8 takes 8 layers, and there are layers 1 to 6"),
    ],
)
def test_layers_out_of_range_are_refused_with_the_range(bench, layers, fault):
    assert faults(bench, recipe={"layers": layers}) == fault
    assert faults(bench, grid={"layers": ["all", layers]}) == fault


def test_a_searched_range_of_layers_is_checked_at_its_ends(bench):
    search = {"trials": 2, "space": {"layers": {"low": 1, "high": 7}}}
    assert faults(bench, search=search) == "layers: encoder: layer 7 does not exist: there are layers 1 to 6"
    bench.open(search={"trials": 2, "space": {"layers": {"low": 1, "high": 6}}})


def test_lower_layers_of_an_encoder_that_cannot_be_cut_are_refused(bench):
    bench.encoder(num_hidden_layers=6, facts={"cut_fault": "its layers share weights in groups"})
    reason = "encoder: its layers share weights in groups"
    assert faults(bench, recipe={"layers": 4}).splitlines() == [
        f"layers: {reason}; use last",
        f"measures.depth: {reason}: must be false",
    ]
    assert len(bench.plan(recipe={"layers": "all"}, measures={"depth": False}).variants) == 1


def test_a_pooler_without_weights_is_refused(bench):
    fault = "pooling: encoder has no pooler weights; use cls, mean or last"
    assert faults(bench, recipe={"pooling": "pooler"}) == fault
    bench.encoder(num_hidden_layers=6, facts=POOLER)
    assert bench.plan(recipe={"pooling": "pooler"}).variants
