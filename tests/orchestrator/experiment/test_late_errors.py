import os

import pytest

from layerscope.orchestrator.experiment.late_errors import at_places
from layerscope.orchestrator.experiment.reading import read_with_places


@pytest.fixture
def told(folder, sound):
    """How a message of planning reads of the sound experiment with these lines and overrides."""

    def told(message: str, lines: str = "", *overrides: str) -> str:
        path = folder.write("experiments/x.yaml", f"{sound}{lines}")
        tree = read_with_places(path, overrides=overrides, environ=os.environ)[1]
        return at_places(message, tree).replace(f"{path.parent}/", "")

    return told


def test_a_factor_is_told_where_the_recipe_says_it(told):
    assert told("epochs: too many") == "x.yaml:6:11: recipe.epochs: too many"


def test_a_factor_of_the_grid_is_told_there_and_not_in_the_recipe(told):
    assert told("layer_decay: no") == "x.yaml:10:16: grid.layer_decay: no"


def test_a_searched_factor_is_told_where_it_is_searched(told):
    lines = "search: {trials: 2, space: {epochs: {low: 1, high: 3}}}\n"
    assert told("epochs: too many", lines) == "x.yaml:13:37: search.space.epochs: too many"


def test_a_dotted_path_is_told_at_what_is_written_of_it(told):
    assert told("pretraining.within.steps: few") == "x.yaml:8:19: pretraining.within.steps: few"
    assert told("pretraining.within.block_length: long") == (
        "x.yaml:8:11: pretraining.within.block_length: long"
    )
    assert told("encoder: not found; tried\n  folder: no") == (
        "x.yaml:2:10: encoder: not found; tried\n  folder: no"
    )


def test_what_stands_in_a_list_is_told_where_it_stands(told):
    assert told("tasks.0: no").endswith("/tasks/trec.yaml:1:1: no")


def test_what_an_override_says_is_told_with_it(told):
    assert told("epochs: too many", "", "recipe.epochs=9") == "override 'recipe.epochs=9': too many"


def test_what_only_a_default_says_is_told_of_the_file(told):
    assert told("max_length: long") == "x.yaml: max_length: long"


def test_rows_of_data_keep_their_own_places(told):
    message = "task trec: train.jsonl:7: empty text\n  train.jsonl:8: no label"
    assert told(message) == message
