"""How a trial advances what it trains, with a gang that only counts."""

from dataclasses import dataclass, field

import pytest

from orchestrator.execution.tune_trials import Order, Trial
from orchestrator.experiment.cluster import Cluster
from orchestrator.planning.plan import make_stage
from orchestrator.store.artifacts import Store
from tests.jobs.tiny import finetune_spec, pretrain_spec


@dataclass
class CountingGang:
    """Is over after three advances."""

    saves: list[bool] = field(default_factory=list)

    def begin(self, stage, store, labels):
        return {"num_evaluations": 3}

    def advance(self, *, save):
        self.saves.append(save)
        return {"step": len(self.saves)} | ({"metrics": {"a": 1.0}} if len(self.saves) == 3 else {})


@pytest.fixture
def begin(tmp_path):
    def begin(spec, **cluster):
        trial = object.__new__(Trial)
        trial._gang = CountingGang()
        trial._begin(Order(make_stage(spec), Store(tmp_path), Cluster(**cluster)))
        return trial

    return begin


def test_a_fine_tuning_reports_each_evaluation(begin):
    trial = begin(finetune_spec())
    assert [trial.step()["done"] for _ in range(3)] == [False, False, True]


def test_a_pretraining_has_nothing_to_report_before_its_end(begin):
    trial = begin(pretrain_spec())
    result = trial.step()
    assert (result["done"], result["metrics"], trial._gang.saves) == (True, {"a": 1.0}, [False] * 3)


def test_both_are_saved_when_it_is_time(begin):
    trial = begin(pretrain_spec(), checkpoint_seconds=1e-9)
    trial.step()
    assert trial._gang.saves == [True] * 3
