"""Stratified parts of the data: a sample of a split, and the validation split."""

from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from layerscope.jobs.specs.faults import Fault, Refused


def stratified_split(labels: Sequence[str], *, fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """Positions of the rows that stay in training and of those that validate, each in ascending order.

    `fraction` of all rows validate, rounded; each label gives its share, the rows left over go to the largest
    remainders. A label with two rows or more is in both parts, whatever its share; a label with one row stays
    in training.

    The sample uses raw output of PCG64, which NumPy keeps the same on every platform and in every version.
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


def check_sample(split: str, size: int | None, number: int) -> None:
    """Raises Refused where a sample asks for more rows, or sentences, than there are."""
    if size is not None and size > number:
        message = f"must be at most {number:,}, which is all that there are, not {size:,}"
        raise Refused(Fault(("sample", split), message))


def split_of_texts(
    labels: Sequence[str], texts: Sequence[Hashable], *, fraction: float, seed: int
) -> tuple[list[int], list[int]]:
    """As `stratified_split`, with rows of the same text in one part, under the label of the first of them.

    Where no two rows have the same text, or no label has two texts, it is that very split. Else the texts of
    a label are drawn in turn, each where its rows still have room in the label's share. A label with several
    texts is in both parts, one with a single text stays in training.
    """
    rows_by_text: dict[Hashable, list[int]] = {}
    for row, text in enumerate(texts):
        rows_by_text.setdefault(text, []).append(row)
    copies = {rows[0]: rows for rows in rows_by_text.values()}
    has_choice = len(copies) > len({labels[first] for first in copies})
    if len(copies) == len(labels) or not has_choice:
        return stratified_split(labels, fraction=fraction, seed=seed)
    key_N = np.random.PCG64(seed).random_raw(len(labels))
    label_G, first_G = np.asarray([labels[first] for first in copies], dtype=str), np.asarray(list(copies))
    names, label_of_G = np.unique(label_G, return_inverse=True)
    count_K = np.bincount(label_of_G, weights=[len(rows) for rows in copies.values()]).astype(np.int64)
    held_out = [
        row
        for number, size in enumerate(_validation_sizes(count_K, fraction))
        for row in _copies_within(_in_order_of(key_N, first_G[label_of_G == number]), copies, size)
    ]
    validation = sorted(held_out)
    return np.setdiff1d(np.arange(len(labels)), validation).tolist(), validation


def stratified_sample(
    labels: Sequence[str], *, size: int | None, seed: int, split: str = "train"
) -> list[int]:
    """Positions of `size` rows in ascending order, sampled like the validation split; all without a size.

    A label with two rows or more keeps at least one.

    Raises:
        Refused: the split has fewer rows.
    """
    check_sample(split, size, len(labels))
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
    sizes: list[int] = np.minimum(size_K, most_K).tolist()
    return sizes


def _copies_within(first_G: np.ndarray, copies: Mapping[int, Sequence[int]], size: int) -> list[int]:
    """Rows of texts in their order, at most so many; of several texts at least the one with fewest rows."""
    firsts = first_G.tolist()
    drawn: list[int] = []
    for first in firsts:
        if len(drawn) + len(copies[first]) <= size:
            drawn += copies[first]
    if not drawn and size and len(firsts) > 1:
        drawn += copies[min(firsts, key=lambda first: len(copies[first]))]
    return drawn


def _in_order_of(key_N: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return rows[np.argsort(key_N[rows], kind="stable")]
