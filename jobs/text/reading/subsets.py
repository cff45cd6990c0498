"""Parts of a training split for learning curves: seeded, stratified, and each inside every larger one."""

import math
from collections.abc import Sequence

import numpy as np

from layerscope.jobs.artifacts.tokenised import Split


def part_of_train(train: Split, *, size: int | float | None, seed: int) -> Split:
    """The rows of a training split that a recipe learns from, in their order.

    Rows with units have no label of their own, and are drawn from all alike; so are rows with numbers or
    answers.

    Raises:
        ValueError: as `subset_size`.
    """
    are_labels = train.spans is None and train.answers is None and not isinstance(train.labels[0], float)
    labels = train.labels if are_labels else [0] * len(train.ids)
    return train.rows(stratified_subset(labels, size=subset_size(size, len(labels)), seed=seed))


def subset_size(size: int | float | None, num_texts: int) -> int:
    """How many of the texts are meant: a number, a share rounded (at least one), or all.

    Raises:
        ValueError: more than there are.
    """
    if size is None:
        return num_texts
    if isinstance(size, float):
        return max(1, math.floor(size * num_texts + 0.5))
    if size > num_texts:
        raise ValueError(
            f"train_size {size} is more than the {num_texts} training texts: at most {num_texts}, or null "
            "for all"
        )
    return size


def stratified_subset(labels: Sequence[int], *, size: int, seed: int) -> list[int]:
    """Positions of `size` rows, in ascending order.

    For one seed the subset of a smaller size lies inside that of a larger one: which rows and how many of a
    label do not change, they only grow. First comes one row of each label, the most frequent label first;
    after that every label has its share as the method of Webster and Sainte-Laguë gives it, by rounding.
    (Largest remainders are not nested: a label may lose a row where the size grows.)

    Drawn with the variant's seed, so that intervals over seeds include the choice of the subset. The draw
    rests on raw output of PCG64, which NumPy keeps the same on every platform and in every version.
    """
    label_N = np.asarray(labels)
    if size >= len(label_N):
        return list(range(len(label_N)))
    key_N = np.random.PCG64(seed).random_raw(len(label_N))
    _, inverse_N, count_K = np.unique(label_N, return_inverse=True, return_counts=True)
    by_label_N = np.lexsort((key_N, inverse_N))
    first_K = np.cumsum(count_K) - count_K
    place_N = np.arange(len(label_N)) - first_K[inverse_N[by_label_N]]
    share_N = count_K[inverse_N[by_label_N]]
    # The j-th row of a label with n rows has its turn at (j + 1/2) / n of the whole.
    turn_N = np.where(place_N == 0, -1.0, (place_N + 0.5) / share_N)
    order_N = by_label_N[np.lexsort((inverse_N[by_label_N], -share_N, turn_N))]
    positions: list[int] = np.sort(order_N[:size]).tolist()
    return positions
