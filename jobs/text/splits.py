"""Parts of the data in which every label keeps its share: a sample of a split, and the validation split."""

from collections.abc import Sequence

import numpy as np


def stratified_split(labels: Sequence[str], *, fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """Positions of the rows that stay in training and of those that validate, each in ascending order.

    `fraction` of all rows validate, rounded; each label gives its share, the rows left over go to the largest
    remainders. A label with two rows or more is in both parts, whatever its share; a label with one row stays
    in training.

    The draw rests on raw output of PCG64, which NumPy keeps the same on every platform and in every version.
    """
    label_N = np.asarray(labels, dtype=str)
    key_N = np.random.PCG64(seed).random_raw(len(label_N))
    names, count_K = np.unique(label_N, return_counts=True)
    held_out = [
        row
        for name, size in zip(names, _validation_sizes(count_K, fraction), strict=True)
        for row in _in_order_of(key_N, np.flatnonzero(label_N == name))[:size].tolist()
    ]
    validation = sorted(held_out)
    return np.setdiff1d(np.arange(len(label_N)), validation).tolist(), validation


def too_large_sample(split: str, size: int, number: int) -> str:
    """What is said of a sample that asks for more rows, or sentences, than there are."""
    return f"sample.{split}: must be at most {number:,}, which is all that there are, not {size:,}"


def stratified_sample(
    labels: Sequence[str], *, size: int | None, seed: int, split: str = "train"
) -> list[int]:
    """Positions of `size` rows in ascending order, drawn as the validation split is; all without a size.

    A label with two rows or more keeps at least one.

    Raises:
        ValueError: the split has fewer rows.
    """
    if size is not None and size > len(labels):
        raise ValueError(too_large_sample(split, size, len(labels)))
    if size is None or size == len(labels):
        return list(range(len(labels)))
    _, drawn = stratified_split(labels, fraction=size / len(labels), seed=seed)
    return drawn


def _validation_sizes(count_K: np.ndarray, fraction: float) -> list[int]:
    exact_K = count_K * fraction
    most_K = count_K - 1
    size_K = np.clip(np.floor(exact_K).astype(np.int64), np.minimum(1, most_K), most_K)
    num_left = max(0, int(np.floor(count_K.sum() * fraction + 0.5)) - int(size_K.sum()))
    remainder_K = np.where(size_K < most_K, exact_K - size_K, -np.inf)
    size_K[np.argsort(-remainder_K, kind="stable")[:num_left]] += 1
    return np.minimum(size_K, most_K).tolist()


def _in_order_of(key_N: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return rows[np.argsort(key_N[rows], kind="stable")]
