"""Probes with two hidden layers (Zhou and Srikumar 2022): the best network of a grid on each layer.

Axes: L layers, N examples, D features, R initialisations, G grid points.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import ArrayLike

from layerscope.jobs.kernels.probes.labelled_layers import check_train_and_test, hold_out, standardised
from layerscope.jobs.kernels.probes.mlp_choice import Choice, Validation, choose_member
from layerscope.jobs.kernels.probes.mlp_training import Examples, Member, Schedule, train_members
from layerscope.jobs.kernels.probes.probe_result import ProbeResult, score_probes

SIZES = tuple((first, second) for first in (32, 64, 128, 256) for second in (32, 64, 128, 256))
DECAYS = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def mlp_probes(
    train_LND: Sequence[np.ndarray],
    train_labels: ArrayLike,
    test_LND: Sequence[np.ndarray],
    test_labels: ArrayLike,
    *,
    sizes: Sequence[tuple[int, int]] = SIZES,
    decays: Sequence[float] = DECAYS,
    num_starts: int = 5,
    schedule: Schedule | None = None,
    num_classes: int,
    seed: int,
    device: str = "cpu",
) -> ProbeResult:
    """The best network of each layer, fitted `num_starts` times with different initialisations.

    A fifth of each class, sampled from train with `seed`, is the validation set. Sizes and L2 weight are
    chosen on it by successive halving (see `mlp_choice.choose_member`); a tie gives the grid point with the
    fewest weights, then with the strongest decay. The chosen network is refitted on all of train, including
    the validation set, from other initialisations, for the number of epochs to its best validation accuracy.
    So each example is seen as often as in the best fit.

    `decays` are scikit-learn's `alpha` (see `mlp_training.train_members`), and become the result's
    `penalty_L`. Features are standardised per layer by the mean and standard deviation of the examples fitted
    on. A layer's result does not depend on the other layers of the call, up to the rounding of float32. A
    class that does not occur in train is never predicted.

    Labels are integers in 0..num_classes - 1, layers are (examples, features) of one width. Raises ValueError
    for anything else, for values that are not finite, and if no example can be held out.
    """
    train_labels_N, test_labels_N = np.asarray(train_labels), np.asarray(test_labels)
    check_train_and_test(train_LND, train_labels_N, test_LND, test_labels_N, num_classes)
    schedule = schedule or Schedule()
    _check_settings(sizes, decays, num_starts, schedule)
    shown, positions_N = np.unique(train_labels_N, return_inverse=True)
    chosen_L = _choose(train_LND, positions_N, sizes, decays, schedule, seed, device)
    examples, asked_LND = _standardised(train_LND, positions_N, test_LND, device)
    predictions_MN = train_members(
        examples,
        [replace(chosen.member, start=start) for chosen in chosen_L for start in range(1, num_starts + 1)],
        np.repeat([chosen.epochs for chosen in chosen_L], num_starts),
        asked_LND,
        schedule=schedule,
        seed=seed,
    )
    return score_probes(
        shown[predictions_MN].reshape(len(chosen_L), num_starts, -1).astype(np.int64),
        train_labels_N,
        test_labels_N,
        penalty_L=np.array([chosen.member.decay for chosen in chosen_L]),
        sizes_L=tuple(chosen.member.sizes for chosen in chosen_L),
    )


def _check_settings(
    sizes: Sequence[tuple[int, ...]], decays: Sequence[float], num_starts: int, schedule: Schedule
) -> None:
    if not len(sizes) or any(len(pair) != 2 or min(pair) < 1 for pair in sizes):
        raise ValueError(f"sizes must be one or more pairs of positive widths, got {list(sizes)}.")
    if not len(decays) or min(decays) < 0:
        raise ValueError(f"decays must be one or more numbers of at least 0, got {tuple(decays)}.")
    if num_starts < 1:
        raise ValueError(f"num_starts must be at least 1, got {num_starts}.")
    if schedule.batch_size < 1 or schedule.max_epochs < 1:
        raise ValueError(f"a schedule needs a batch of 1 or more and an epoch or more, got {schedule}.")


def _standardised(
    fitted_LND: Sequence[np.ndarray], labels_N: np.ndarray, asked_LND: Sequence[np.ndarray], device: str
) -> tuple[Examples, torch.Tensor]:
    """Training and test features, standardised by the training features."""
    pairs = [
        standardised(fitted_ND, asked_ND) for fitted_ND, asked_ND in zip(fitted_LND, asked_LND, strict=True)
    ]
    fitted, asked = (
        torch.from_numpy(np.stack([part.astype(np.float32) for part in parts])).to(device)
        for parts in zip(*pairs, strict=True)
    )
    return Examples(fitted, torch.from_numpy(labels_N).to(device), labels_N.max() + 1), asked


def _choose(
    train_LND: Sequence[np.ndarray],
    labels_N: np.ndarray,
    sizes: Sequence[tuple[int, int]],
    decays: Sequence[float],
    schedule: Schedule,
    seed: int,
    device: str,
) -> list[Choice]:
    """The best grid point of each layer."""
    # At most part of a class is held out, so every label occurs in the fitted part.
    held_out_N = hold_out(labels_N, seed=seed)
    fitted_LND = [train_ND[~held_out_N] for train_ND in train_LND]
    held_out_LND = [train_ND[held_out_N] for train_ND in train_LND]
    examples, validation_LND = _standardised(fitted_LND, labels_N[~held_out_N], held_out_LND, device)
    validation = Validation(validation_LND, torch.from_numpy(labels_N[held_out_N]).to(device))
    num_layers, _, width = examples.layers_LND.shape
    preferred_first = sorted(
        ((pair, decay) for pair in sizes for decay in decays),
        key=lambda point: (_num_weights(width, point[0], examples.num_classes), -point[1]),
    )
    return [
        choose_member(
            examples,
            validation,
            [Member(layer, *point) for point in preferred_first],
            schedule=schedule,
            seed=seed,
        )
        for layer in range(num_layers)
    ]


def _num_weights(width: int, sizes: tuple[int, int], num_classes: int) -> int:
    return width * sizes[0] + sizes[0] * sizes[1] + sizes[1] * num_classes
