"""Measures of layers are planned of every model that a subject has states of."""

from layerscope.jobs.measures import MEASURES
from layerscope.jobs.specs.measure import Subject
from layerscope.jobs.specs.roles import RANDOM, START, TUNED
from layerscope.jobs.specs.spec import Spec
from layerscope.orchestrator.experiment.experiment import Measures
from layerscope.orchestrator.planning.plan import Stage, make_stage
from layerscope.orchestrator.planning.stages.measure_stages import MeasuredExamples, measure_stages

NOTHING = {"probe": False, "cka": False, "depth": False}


class States(Spec):
    kind: str = "states"
    name: str


DATA = make_stage(States(name="data"))


def states_in(model: str) -> Stage:
    return make_stage(States(name=model or "tuned"))


def planned(*models: str, name: str = "", **measures: object) -> dict[str, Stage]:
    """The stages of a subject of labels in these models."""
    states = {model: lambda model=model: states_in(model) for model in models}
    examples = MeasuredExamples(Subject(name, "label", models), DATA, states)
    return measure_stages(MEASURES, Measures(**NOTHING | measures), [examples], finetune=None)


def test_models_along_the_training_are_probed_and_set_against_the_start():
    models = (TUNED, START, RANDOM, "at-0.5")
    assert list(planned(*models, name="pos", probe=True)) == [
        "probe/pos",
        "probe/pos/start",
        "probe/pos/random",
        "probe/pos/at-0.5",
    ]
    stages = planned(*models, geometry=True, spread=True)
    assert set(stages) == {
        "geometry",
        "geometry/start",
        "geometry/at-0.5",
        "shift",
        "shift/at-0.5",
        "paths",
        "spread",
        "spread/start",
        "spread/at-0.5",
    }
    half_way = stages["shift/at-0.5"].parents
    assert half_way["states"] == states_in("at-0.5")
    assert half_way["geometry"] is stages["geometry/at-0.5"]
    assert half_way["other_geometry"] is stages["geometry/start"]


def test_paths_go_from_the_start_over_the_checkpoints_in_their_order_to_the_end():
    paths = planned(TUNED, START, "at-0.5", RANDOM, "at-20", name="pos", geometry=True)["paths/pos"]
    assert paths.spec.checkpoints == ("at-0.5", "at-20")
    states = {role: states_in(role) for role in ("at-0.5", "at-20")}
    assert paths.parents == {"start": states_in(START), "end": states_in(TUNED), "data": DATA} | states


def test_without_checkpoints_or_geometry_no_path_is_followed():
    assert "paths" not in planned(TUNED, START, RANDOM, geometry=True)
    assert "paths" not in planned(TUNED, START, "at-0.5", spread=True)


def test_without_a_start_nothing_is_set_against_it():
    assert list(planned(TUNED, geometry=True)) == ["geometry"]


def test_the_similarity_of_layers_is_measured_of_the_own_texts_and_blocks_rest_on_its_maps():
    assert planned(TUNED, START, name="pos", cka=True) == {}
    stages = planned(TUNED, START, cka=True)
    assert list(stages) == ["cka/within", "cka/within/start", "cka/start", "blocks", "blocks/start"]
    assert stages["blocks/start"].parents == {"map": stages["cka/within/start"]}
