"""The best of many networks on one layer, found by successive halving (Jamieson and Talwalkar 2016).

All train for a few epochs; the best quarter continues, is reduced again, and trains until it stops improving.
The final best network is rarely among the worst after a few epochs.

Axes: L layers, N examples, C classes, M networks (members).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from layerscope.jobs.kernels.probes.mlp_training import (
    Cohort,
    Examples,
    Member,
    Schedule,
    begin_cohorts,
    logits,
    num_batches,
    predicted,
    train_epoch,
)

_LEAST_GAIN = 1e-4
"""Minimum gain of validation accuracy for an epoch to reset patience, scikit-learn's `tol`."""

_KEPT = 4
"""Reduction factor: one of this many members continues after a rung."""

_LEAST_BATCHES = 4
"""Minimum batches of an epoch for a rung to count it whole: after a few Adam steps all networks are
similar."""


@dataclass(frozen=True)
class Validation:
    """Held-out examples: float32 features, and labels as in `Examples`."""

    layers_LND: torch.Tensor
    labels_N: torch.Tensor


@dataclass(frozen=True)
class Choice:
    """The best member and its best epoch."""

    member: Member
    epochs: int
    """Number of epochs after which it first had its best validation accuracy."""


@dataclass(frozen=True)
class _Progress:
    """Progress of each member; changed in place."""

    accuracy_M: torch.Tensor
    """Best validation accuracy so far."""
    epochs_M: torch.Tensor
    """Number of the epoch of the best accuracy."""
    waited_M: torch.Tensor
    """Epochs since the accuracy last gained."""


def choose_member(
    examples: Examples, validation: Validation, members: Sequence[Member], *, schedule: Schedule, seed: int
) -> Choice:
    """The member with the best validation accuracy; a tie gives the first.

    Members train until patience ends, but after each rung of the schedule only the best quarter continues, by
    each member's best accuracy so far. For rungs, an epoch of fewer than 4 batches counts as a fraction of an
    epoch.
    """
    device = examples.labels_N.device
    progress = _Progress(
        accuracy_M=torch.full((len(members),), -1.0, device=device),
        epochs_M=torch.zeros(len(members), dtype=torch.int64, device=device),
        waited_M=torch.zeros(len(members), dtype=torch.int64, device=device),
    )
    cohorts: Iterable[Cohort] = begin_cohorts(examples, members, schedule=schedule, seed=seed)
    contenders, trained = np.arange(len(members)), 0
    for until in _ends(schedule, len(examples.labels_N)):
        epochs = range(trained + 1, until + 1)
        cohorts = [
            _advance(examples, validation, cohort, progress, epochs, schedule, seed) for cohort in cohorts
        ]
        contenders, trained = _ranked(contenders, progress)[: -(-len(contenders) // _KEPT)], until
        going = torch.from_numpy(contenders).to(device)
        cohorts = [cohort.only(torch.isin(cohort.index_M, going)) for cohort in cohorts]
    best = contenders[0]
    return Choice(members[best], int(progress.epochs_M[best]))


def _ends(schedule: Schedule, num_examples: int) -> list[int]:
    """Epochs at which the best members are selected; the last is the end of training."""
    batches = min(_LEAST_BATCHES, num_batches(num_examples, schedule.batch_size))
    rungs = [-(-rung * _LEAST_BATCHES // batches) for rung in schedule.rungs]
    return [rung for rung in rungs if rung < schedule.max_epochs] + [schedule.max_epochs]


def _ranked(contenders: np.ndarray, progress: _Progress) -> np.ndarray:
    return contenders[np.lexsort((contenders, -progress.accuracy_M.cpu().numpy()[contenders]))]


def _advance(
    examples: Examples,
    validation: Validation,
    cohort: Cohort,
    progress: _Progress,
    epochs: range,
    schedule: Schedule,
    seed: int,
) -> Cohort:
    """Train the cohort for these epochs and return the members whose patience has not ended."""
    for epoch in epochs:
        if not len(cohort):
            break
        train_epoch(examples, cohort, epoch, schedule=schedule, seed=seed)
        cohort = cohort.only(_note(cohort, validation, progress, epoch, schedule))
    return cohort


def _note(
    cohort: Cohort, validation: Validation, progress: _Progress, epoch: int, schedule: Schedule
) -> torch.Tensor:
    """Update `progress`, and return which members still have patience (M,)."""
    index_M, labels_N = cohort.index_M, validation.labels_N
    predicted_MN = predicted(logits(cohort, validation.layers_LND, schedule))
    accuracy_M = (predicted_MN == labels_N).double().mean(dim=1).float()
    best_M = progress.accuracy_M[index_M]
    waited_M = (progress.waited_M[index_M] + 1).masked_fill(accuracy_M >= best_M + _LEAST_GAIN, 0)
    progress.waited_M[index_M] = waited_M
    progress.epochs_M[index_M[accuracy_M > best_M]] = epoch
    progress.accuracy_M[index_M] = accuracy_M.maximum(best_M)
    return waited_M <= schedule.patience
