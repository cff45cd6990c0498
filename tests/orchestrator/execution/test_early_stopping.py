"""Whose scores early stopping compares."""

from types import SimpleNamespace

from ray.tune.schedulers import TrialScheduler

from layerscope.orchestrator.execution.early_stopping import METRIC, OfEachTask, make_scheduler
from layerscope.orchestrator.experiment.experiment import EarlyStopping

HALVING = EarlyStopping(grace_period=1, reduction_factor=2)


def trial(task, name):
    labels = {"task": task} if task else {}
    return SimpleNamespace(trial_id=name, config={"order": SimpleNamespace(labels=labels)})


def results_of(scores_by_trial):
    """What becomes of trials that come one after the other, each with one evaluation."""
    scheduler = make_scheduler(HALVING)
    found = []
    for number, (task, score) in enumerate(scores_by_trial):
        one = trial(task, f"{task} {number}")
        scheduler.on_trial_add(None, one)
        found.append(scheduler.on_trial_result(None, one, {METRIC: score, "evaluations": 1}))
    return found


def test_a_variant_that_falls_behind_those_of_its_task_is_stopped():
    assert results_of([("easy", 0.9), ("easy", 0.1)]) == [TrialScheduler.CONTINUE, TrialScheduler.STOP]


def test_a_task_with_lower_scores_is_not_compared_with_another():
    """Accuracies of one task say nothing of correlations, or of a harder task's accuracies."""
    scores = [("easy", 0.9), ("easy", 0.8), ("hard", 0.2), ("hard", 0.1)]
    assert results_of(scores) == [TrialScheduler.CONTINUE, TrialScheduler.STOP] * 2


def test_what_has_no_scores_is_never_stopped():
    scheduler, pretraining = make_scheduler(HALVING), trial(None, "pretraining")
    scheduler.on_trial_add(None, pretraining)
    result = {"evaluations": 1, "training_iteration": 1}
    assert scheduler.on_trial_result(None, pretraining, result) == TrialScheduler.CONTINUE
    scheduler.on_trial_complete(None, pretraining, result)
    scheduler.on_trial_remove(None, pretraining)
    scheduler.on_trial_error(None, pretraining)


def test_without_settings_nothing_is_stopped():
    assert not isinstance(make_scheduler(None), OfEachTask)
