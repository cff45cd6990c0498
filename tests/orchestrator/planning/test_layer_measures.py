"""Measures of layers are planned of every model that a subject has states of."""

from layerscope.jobs.specs.roles import RANDOM, START
from layerscope.jobs.specs.spec import Spec
from layerscope.orchestrator.experiment.experiment import Measures
from layerscope.orchestrator.planning.layer_measures import TUNED, Subject, geometry_of, probes_of
from layerscope.orchestrator.planning.plan import make_stage


class States(Spec):
    kind: str = "states"
    name: str


def subject(*models: str) -> Subject:
    states = {model: make_stage(States(name=model)) for model in models}
    return Subject(make_stage(States(name="data")), states)


def test_models_along_the_training_are_probed_and_set_against_the_start():
    of = subject(TUNED, START, RANDOM, "at-0.5")
    assert list(probes_of(Measures(), {"pos": of})) == [
        "probe/pos",
        "probe/pos/start",
        "probe/pos/random",
        "probe/pos/at-0.5",
    ]
    stages = geometry_of(Measures(geometry=True, spread=True), {"": of})
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
    assert half_way["states"] is of.states["at-0.5"]
    assert half_way["geometry"] is stages["geometry/at-0.5"]
    assert half_way["other_geometry"] is stages["geometry/start"]


def test_paths_go_from_the_start_over_the_checkpoints_in_their_order_to_the_end():
    of = subject(TUNED, START, "at-0.5", RANDOM, "at-20")
    paths = geometry_of(Measures(geometry=True), {"pos": of})["paths/pos"]
    assert paths.spec.checkpoints == ("at-0.5", "at-20")
    states = {role: of.states[role] for role in ("at-0.5", "at-20")}
    assert paths.parents == {"start": of.states[START], "end": of.states[TUNED], "data": of.data} | states


def test_without_checkpoints_or_geometry_no_path_is_followed():
    ends, along = subject(TUNED, START, RANDOM), subject(TUNED, START, "at-0.5")
    assert "paths" not in geometry_of(Measures(geometry=True), {"": ends})
    assert "paths" not in geometry_of(Measures(spread=True), {"": along})


def test_without_a_start_nothing_is_set_against_it():
    assert list(geometry_of(Measures(geometry=True), {"": subject(TUNED)})) == ["geometry"]
