"""Probes of two hidden layers (Zhou and Srikumar 2022): every layer, size and L2 weight trained together.

Axes: L layers, N examples, D features, R initialisations, G grid points.
"""

from collections.abc import Sequence

import numpy as np
import torch

from jobs.numerics.labelled_layers import check_train_and_test, hold_out, standardised
from jobs.numerics.mlp_training import Examples, Member, Schedule, train_members
from jobs.numerics.probe_result import ProbeResult, score_probes

SIZES = tuple((first, second) for first in (32, 64, 128, 256) for second in (32, 64, 128, 256))
DECAYS = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def mlp_probes(
    train_LND: Sequence[np.ndarray],
    train_labels: Sequence[int],
    test_LND: Sequence[np.ndarray],
    test_labels: Sequence[int],
    *,
    sizes: Sequence[tuple[int, int]] = SIZES,
    decays: Sequence[float] = DECAYS,
    num_starts: int = 5,
    schedule: Schedule | None = None,
    num_classes: int,
    seed: int,
    device: str = "cpu",
) -> ProbeResult:
    """The best network of each layer, trained `num_starts` times with different initialisations.

    A fifth of each class, drawn by `seed` from train, is the validation part: it stops every training and
    chooses sizes and L2 weight by accuracy; of equally accurate grid points the one with the fewest weights,
    then with the strongest decay. The chosen one starts anew from other initialisations than those it was
    chosen with. `decays` are scikit-learn's `alpha` (see `mlp_training.train_members`), and become the
    result's `penalty_L`. Features are standardised per layer by the mean and deviation of the examples fitted
    on. A layer's result does not depend on the layers and grid points beside it, up to the rounding of
    float32. A class that the fitted examples do not show is never predicted.

    Labels are integers in 0..num_classes - 1, layers are (examples, features) of one width. Raises ValueError
    for anything else, for values that are not finite, and where nothing can be held out.
    """
    train_labels, test_labels = np.asarray(train_labels), np.asarray(test_labels)
    check_train_and_test(train_LND, train_labels, test_LND, test_labels, num_classes)
    schedule = schedule or Schedule()
    _check_settings(sizes, decays, num_starts, schedule)
    shown, examples = _examples(train_LND, train_labels, test_LND, hold_out(train_labels, seed=seed), device)

    chosen_L = _choose(examples, sizes, decays, schedule, seed)
    retrained = train_members(
        examples,
        [
            Member(layer, chosen.sizes, chosen.decay, start)
            for layer, chosen in enumerate(chosen_L)
            for start in range(1, num_starts + 1)
        ],
        schedule=schedule,
        seed=seed,
    )
    return score_probes(
        shown[retrained.predictions_MN].reshape(len(chosen_L), num_starts, -1).astype(np.int64),
        train_labels,
        test_labels,
        penalty_L=np.array([chosen.decay for chosen in chosen_L]),
        sizes_L=tuple(chosen.sizes for chosen in chosen_L),
    )


def _check_settings(
    sizes: Sequence[tuple[int, int]], decays: Sequence[float], num_starts: int, schedule: Schedule
) -> None:
    if not len(sizes) or any(len(pair) != 2 or min(pair) < 1 for pair in sizes):
        raise ValueError(f"sizes must be one or more pairs of positive widths, got {list(sizes)}.")
    if not len(decays) or min(decays) < 0:
        raise ValueError(f"decays must be one or more numbers of at least 0, got {tuple(decays)}.")
    if num_starts < 1:
        raise ValueError(f"num_starts must be at least 1, got {num_starts}.")
    if schedule.batch_size < 1 or schedule.max_epochs < 1:
        raise ValueError(f"a schedule needs a batch of 1 or more and an epoch or more, got {schedule}.")


def _examples(
    train_LND: Sequence[np.ndarray],
    train_labels: np.ndarray,
    test_LND: Sequence[np.ndarray],
    held_out_N: np.ndarray,
    device: str,
) -> tuple[np.ndarray, Examples]:
    """The classes that are fitted, and the examples with labels as positions among them."""
    triples = [
        standardised(train_ND[~held_out_N], train_ND[held_out_N], test_ND)
        for train_ND, test_ND in zip(train_LND, test_LND, strict=True)
    ]
    fitted, validation, test = (
        torch.from_numpy(np.stack([part.astype(np.float32) for part in parts])).to(device)
        for parts in zip(*triples, strict=True)
    )
    # A class is held out only where more of it is fitted, so every validation label has a position.
    shown, positions_N = np.unique(train_labels, return_inverse=True)
    labels_N = torch.from_numpy(positions_N).to(device)
    held_out = torch.from_numpy(held_out_N).to(device)
    return shown, Examples(fitted, labels_N[~held_out], validation, labels_N[held_out], test, len(shown))


def _choose(
    examples: Examples,
    sizes: Sequence[tuple[int, int]],
    decays: Sequence[float],
    schedule: Schedule,
    seed: int,
) -> list[Member]:
    """The grid point with the best validation accuracy, per layer."""
    num_layers, width = len(examples.fitted_LND), examples.fitted_LND.shape[2]
    preferred_first = sorted(
        ((pair, decay) for pair in sizes for decay in decays),
        key=lambda point: (_num_weights(width, point[0], examples.num_classes), -point[1]),
    )
    members = [Member(layer, *point) for layer in range(num_layers) for point in preferred_first]
    if len(preferred_first) == 1:
        return members
    trained = train_members(examples, members, schedule=schedule, seed=seed)
    best_L = trained.accuracy_M.reshape(num_layers, -1).argmax(axis=1)
    return [members[layer * len(preferred_first) + best] for layer, best in enumerate(best_L)]


def _num_weights(width: int, sizes: tuple[int, int], num_classes: int) -> int:
    return width * sizes[0] + sizes[0] * sizes[1] + sizes[1] * num_classes
