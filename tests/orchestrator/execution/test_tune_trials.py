"""How a trial advances what it trains, with a gang that only counts."""

from dataclasses import dataclass, field
from importlib import import_module
from typing import get_type_hints

import pytest

from layerscope.jobs.specs.features import FeatureHeadSpec
from layerscope.jobs.specs.multitask import JointTraining, MultitaskSpec
from layerscope.jobs.specs.recipe import Training
from layerscope.jobs.training.loop import TrainingLoop
from layerscope.orchestrator.errors import StageFailed, WorkerLost
from layerscope.orchestrator.execution import tune_trials
from layerscope.orchestrator.execution.tune_trials import Order, Trial
from layerscope.orchestrator.experiment.cluster import Cluster
from layerscope.orchestrator.planning.plan import TRAINED_KINDS, make_stage
from layerscope.orchestrator.store.artifacts import Store
from tests.jobs.tiny import finetune_spec, pretrain_spec


@dataclass
class CountingGang:
    """Is over after three advances."""

    saves: list[bool] = field(default_factory=list)
    next_error: Exception | None = None
    is_closed: bool = False

    def lose_next(self):
        self.next_error = WorkerLost("process 2 of 2 is gone")

    def fail_next(self):
        self.next_error = StageFailed("ValueError: no")

    def begin(self, stage, store, labels):
        if self.next_error is not None:
            raise self.next_error
        return {"num_evaluations": 3}

    def close(self):
        self.is_closed = True

    def advance(self, *, save):
        self.saves.append(save)
        return {"step": len(self.saves)} | ({"metrics": {"a": 1.0}} if len(self.saves) == 3 else {})


@dataclass
class Gangs:
    """The started gangs; the next one is prepared in advance."""

    next_one: CountingGang = field(default_factory=CountingGang)
    started: list[CountingGang] = field(default_factory=list)

    def start(self, cluster, group):
        self.started.append(self.next_one)
        self.next_one = CountingGang()
        return self.started[-1]


@pytest.fixture
def gangs(monkeypatch):
    gangs = Gangs()
    monkeypatch.setattr(tune_trials, "Gang", gangs.start)
    monkeypatch.setattr("ray.util.get_current_placement_group", object)
    return gangs


@pytest.fixture
def order(tmp_path):
    def order(spec, **cluster):
        return {"order": Order(make_stage(spec), Store(tmp_path), Cluster(**cluster))}

    return order


@pytest.fixture
def begin(order, gangs):
    def begin(spec, **cluster):
        trial = object.__new__(Trial)  # Its own beginning needs a Ray.
        trial.setup(order(spec, **cluster))
        return trial

    return begin


HEAD = FeatureHeadSpec(training=Training(), head="linear", head_hidden=8, seed=0)
JOINT = MultitaskSpec(encoder="tiny", training=JointTraining(epochs=1))


@pytest.mark.parametrize("spec", [finetune_spec(), HEAD], ids=lambda spec: spec.kind)
def test_a_training_of_a_variant_reports_each_evaluation(begin, spec):
    trial = begin(spec)
    assert [trial.step()["done"] for _ in range(3)] == [False, False, True]


@pytest.mark.parametrize("spec", [pretrain_spec(), JOINT], ids=lambda spec: spec.kind)
def test_what_variants_start_from_has_nothing_to_report_before_its_end(begin, gangs, spec):
    trial = begin(spec)
    result = trial.step()
    (gang,) = gangs.started
    assert (result["done"], result["metrics"], gang.saves) == (True, {"a": 1.0}, [False] * 3)


@pytest.mark.parametrize("spec", [pretrain_spec(), JOINT, finetune_spec(), HEAD], ids=lambda spec: spec.kind)
def test_every_training_is_saved_when_it_is_time(begin, gangs, spec):
    trial = begin(spec, checkpoint_seconds=1e-9)
    while not trial.step()["done"]:
        pass
    (gang,) = gangs.started
    assert gang.saves == [True] * 3


def test_every_trained_kind_can_be_advanced_saved_and_resumed():
    for kind in TRAINED_KINDS:
        assert get_type_hints(import_module(f"layerscope.jobs.{kind}").begin)["return"] is TrainingLoop


def test_the_next_training_gets_the_same_gang(begin, gangs, order):
    trial = begin(finetune_spec())
    trial.step()
    assert trial.reset_config(order(HEAD))
    trial.step()
    (gang,) = gangs.started
    assert len(gang.saves) == 2 and not gang.is_closed
    trial.cleanup()
    assert gang.is_closed


def test_a_lost_process_ends_the_gang_at_once_and_is_passed_on(begin, gangs, order):
    trial = begin(finetune_spec())
    gangs.next_one.lose_next()
    with pytest.raises(WorkerLost, match="gone"):
        trial.step()
    assert gangs.started[0].is_closed
    assert goes_on_with_another_gang(trial, gangs, order)


def test_a_failure_of_the_stage_as_it_begins_is_its_result(begin, gangs, order):
    trial = begin(finetune_spec())
    gangs.next_one.fail_next()
    result = trial.step()
    assert (result["failure"], result["done"]) == ("ValueError: no", True)
    assert gangs.started[0].is_closed
    assert goes_on_with_another_gang(trial, gangs, order)


def goes_on_with_another_gang(trial, gangs, order):
    trial.reset_config(order(finetune_spec()))
    trial.step()
    return [len(gang.saves) for gang in gangs.started] == [0, 1]
