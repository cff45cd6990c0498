import os

import pytest

from layerscope.jobs.specs.faults import Fault, factor_fault
from layerscope.orchestrator.experiment.experiment import encoder_fault
from layerscope.orchestrator.experiment.placing import placed
from layerscope.orchestrator.experiment.reading import read_with_places


@pytest.fixture
def told(folder, sound):
    """How a fault of the sound experiment with these lines and overrides reads."""

    def told(fault: Fault, lines: str = "", *overrides: str) -> str:
        path = folder.write("experiments/x.yaml", f"{sound}{lines}")
        tree = read_with_places(path, overrides=overrides, environ=os.environ)[1]
        return str(placed(tree, fault)).replace(f"{path.parent}/", "")

    return told


def test_a_factor_is_told_where_the_recipe_says_it(told):
    assert told(factor_fault("epochs", "too many")) == "x.yaml:6:11: recipe.epochs: too many"


def test_a_factor_of_the_grid_is_told_there_and_not_in_the_recipe(told):
    assert told(factor_fault("layer_decay", "no")) == "x.yaml:10:16: grid.layer_decay: no"


def test_a_searched_factor_is_told_where_it_is_searched(told):
    lines = "search: {trials: 2, space: {epochs: {low: 1, high: 3}}}\n"
    assert told(factor_fault("epochs", "too many"), lines) == "x.yaml:13:37: search.space.epochs: too many"


def test_a_dotted_path_is_told_at_what_is_written_of_it(told):
    assert (
        told(Fault(("pretraining", "within", "steps"), "few")) == "x.yaml:8:19: pretraining.within.steps: few"
    )
    assert told(Fault(("pretraining", "within", "block_length"), "long")) == (
        "x.yaml:8:11: pretraining.within.block_length: long"
    )
    assert told(Fault(("encoder",), "not found; tried\n  folder: no")) == (
        "x.yaml:2:10: encoder: not found; tried\n  folder: no"
    )


def test_what_stands_in_a_list_is_told_where_it_stands(told):
    assert told(Fault(("tasks", 0), "no")).endswith("/tasks/trec.yaml:1:1: no")


def test_what_an_override_says_is_told_with_it(told):
    assert (
        told(factor_fault("epochs", "too many"), "", "recipe.epochs=9")
        == "override 'recipe.epochs=9': too many"
    )


def test_what_only_a_default_says_is_told_of_the_file(told):
    assert told(factor_fault("max_length", "long")) == "x.yaml: max_length: long"


def test_a_default_outside_the_recipe_is_told_of_the_file(told):
    assert told(Fault(("measures", "depth"), "no")) == "x.yaml: measures.depth: no"


def test_an_encoder_is_told_where_the_grid_names_it_as_main(told):
    lines, named = "encoders: {other: {hub: other}}\n", "+grid.encoder=[main,other]"
    assert told(encoder_fault("main", "lost"), lines) == "x.yaml:2:10: encoder: lost"
    assert told(encoder_fault("main", "lost"), lines, named) == f"override '{named}': lost"
    assert told(Fault(("encoder",), "empty"), lines, named) == "x.yaml:2:10: encoder: empty"


def test_a_fault_is_told_at_the_override_from_which_it_follows(told):
    fault = Fault(("pretraining", "within", "steps"), "few", rests_on=(("recipe", "epochs"),))
    assert told(fault, "", "recipe.epochs=9") == "override 'recipe.epochs=9': pretraining.within.steps: few"


def test_rows_of_data_keep_their_own_places(told):
    message = "task trec: train.jsonl:7: empty text\n  train.jsonl:8: no label"
    assert told(Fault((), message)) == message
