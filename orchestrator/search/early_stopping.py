"""ASHA over the evaluations of the variants (Li et al. 2020)."""

from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from orchestrator.experiment.experiment import EarlyStopping

METRIC = "best/validation/score"
NEVER = 1_000_000


def make_scheduler(early_stopping: EarlyStopping | None) -> TrialScheduler:
    """Stops variants whose best validation score so far falls behind at a rung; without settings, none.

    The score is accuracy, or pearson_spearman where numbers are predicted.
    """
    if early_stopping is None:
        return FIFOScheduler()
    return ASHAScheduler(
        time_attr="evaluations",
        metric=METRIC,
        mode="max",
        max_t=NEVER,
        grace_period=early_stopping.grace_period,
        reduction_factor=early_stopping.reduction_factor,
    )
