import pytest

from layerscope.orchestrator.errors import ConfigurationError
from layerscope.orchestrator.workspace import open_workspace
from tests.orchestrator.bench import Bench

SHARED = "the layers of encoder share their weights, as ALBERT's do, so"
ALBERT = {"model_type": "albert", "num_hidden_layers": 12}


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def faults(bench, **changes) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        bench.open(**changes)
    return str(refused.value).splitlines()


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        (
            {"recipe": {"layer_decay": 0.9}},
            f"layer_decay: {SHARED} they have one learning rate: must be 1, not 0.9",
        ),
        (
            {"grid": {"layer_decay": [1, 0.8]}},
            f"layer_decay: {SHARED} they have one learning rate: must be 1, not 0.8",
        ),
        (
            {"search": {"trials": 1, "space": {"layer_decay": {"low": 0.5, "high": 1}}}},
            f"layer_decay: {SHARED} they have one learning rate: must be 1, not 0.5",
        ),
        (
            {"grid": {"frozen_layers": ["all", 3, 0]}},
            f"frozen_layers: {SHARED} all or none are frozen: must be 0 or all, not 3",
        ),
        (
            {"recipe": {"reinitialised_layers": 2}},
            f"reinitialised_layers: {SHARED} all or none are re-initialised: must be 0, not 2",
        ),
        (
            {"grid": {"lora_rank": [None, 8]}},
            f"lora_rank: {SHARED} layers cannot have separate adapters: must be null, not 8",
        ),
    ],
)
def test_layers_that_share_their_weights_cannot_be_told_apart(bench, changes, fault):
    bench.encoder(**ALBERT)
    assert faults(bench, **changes) == [fault]


def test_what_needs_no_single_layer_is_allowed_where_layers_share_their_weights(bench):
    bench.encoder(**ALBERT)
    recipe = {"layer_decay": 1.0, "head_learning_rate": 0.1, "decay_convention": "electra"}
    bench.open(recipe=recipe, grid={"frozen_layers": [0, "all"]})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"grid": {"frozen_layers": ["all", 12, 13]}}, ["frozen_layers: encoder has 12 layers, not 13"]),
        (
            {"search": {"trials": 1, "space": {"reinitialised_layers": {"low": 0, "high": 14}}}},
            ["reinitialised_layers: encoder has 12 layers, not 14"],
        ),
        (
            {"grid": {"frozen_layers": [0, 8], "reinitialised_layers": [0, 5]}},
            [
                "reinitialised_layers: 5 from above and 8 frozen ones from below are more than the 12 layers "
                "of encoder: new layers would never be trained; at most 4"
            ],
        ),
    ],
)
def test_layers_that_are_not_there_are_refused(bench, changes, expected):
    bench.encoder(num_hidden_layers=12)
    assert faults(bench, **changes) == expected


def test_all_layers_may_be_frozen_or_begin_anew(bench):
    bench.encoder(num_hidden_layers=12)
    bench.open(grid={"frozen_layers": [0, 8, "all"]})
    bench.open(grid={"frozen_layers": [0, 12]})
    bench.open(grid={"reinitialised_layers": [0, 12]})
    bench.open(grid={"reinitialised_layers": [0, 4], "frozen_layers": [0, 8]})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"recipe": {"layers": 1, "frozen_layers": 2}},
            ["frozen_layers: with layers 1, encoder is cut to its lowest 1: must be at most 1, not 2"],
        ),
        (
            {"grid": {"layers": ["last", "first-3"], "reinitialised_layers": [2, 4]}},
            [
                "reinitialised_layers: with layers first-3, encoder is cut to its lowest 3: "
                "must be at most 3, not 4"
            ],
        ),
        (
            {"recipe": {"layers": 4, "frozen_layers": 3, "reinitialised_layers": 2}},
            [
                "reinitialised_layers: with layers 4, encoder is cut to its lowest 4, of which 3 are frozen: "
                "new layers would never be trained; at most 1, not 2"
            ],
        ),
    ],
)
def test_layers_that_are_cut_off_are_neither_frozen_nor_begin_anew(bench, changes, expected):
    bench.encoder(num_hidden_layers=12)
    assert faults(bench, **changes) == expected


def test_layers_below_a_cut_may_be_frozen_or_begin_anew(bench):
    bench.encoder(num_hidden_layers=12)
    bench.open(recipe={"layers": 4, "frozen_layers": 4})
    bench.open(recipe={"layers": 4, "frozen_layers": 2, "reinitialised_layers": 2})
    bench.open(grid={"layers": [4], "frozen_layers": [8]}, recipe={"features": "last"})


def test_what_is_cut_off_is_told_where_it_is_asked_for(bench, capsys):
    bench.encoder(num_hidden_layers=12)
    path = bench.write(recipe={"layers": 1, "frozen_layers": 2})
    with pytest.raises(ConfigurationError, match=r"yaml:\d+:\d+: recipe.frozen_layers: with layers 1"):
        open_workspace(path, store=path.parent / "runs")
