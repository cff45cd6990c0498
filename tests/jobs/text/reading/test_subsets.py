from collections import Counter

import numpy as np
import pytest

from layerscope.jobs.artifacts.tokenised import Split
from layerscope.jobs.text.reading.subsets import part_of_train, stratified_subset, subset_size

LABELS = np.random.default_rng(0).permutation([0] * 50 + [1] * 30 + [2] * 19 + [3]).tolist()


def slow_counts(labels, size: int) -> dict[int, int]:
    """One row of each label, the most frequent first; then each next row to the largest n / (2 taken + 1)."""
    have = Counter(labels)
    taken = dict.fromkeys(sorted(have, key=lambda label: (-have[label], label))[:size], 1)
    while sum(taken.values()) < size:
        open_labels = [label for label in have if taken[label] < have[label]]
        claim = {label: have[label] / (2 * taken[label] + 1) for label in open_labels}
        taken[min(claim, key=lambda label: (-claim[label], -have[label], label))] += 1
    return taken


@pytest.mark.parametrize("size", range(1, len(LABELS) + 1))
def test_every_size_has_the_labels_that_handing_out_one_by_one_gives(size):
    rows = stratified_subset(LABELS, size=size, seed=3)
    assert Counter(LABELS[row] for row in rows) == slow_counts(LABELS, size)
    assert rows == sorted(set(rows))


@pytest.mark.parametrize("seed", range(3))
def test_a_smaller_subset_lies_inside_every_larger_one(seed):
    subsets = [set(stratified_subset(LABELS, size=size, seed=seed)) for size in range(1, len(LABELS) + 1)]
    assert all(small < large for small, large in zip(subsets, subsets[1:], strict=False))


def test_a_label_keeps_its_share():
    have = Counter(LABELS)
    for size in range(4, len(LABELS)):
        found = Counter(LABELS[row] for row in stratified_subset(LABELS, size=size, seed=0))
        # The one row of the rarest label is taken from the start, and weighs one row more on the others.
        assert all(abs(found[label] - size * have[label] / len(LABELS)) < 1.5 for label in have)


def test_every_label_is_there_as_soon_as_the_size_allows():
    assert {LABELS[row] for row in stratified_subset(LABELS, size=4, seed=0)} == {0, 1, 2, 3}
    assert {LABELS[row] for row in stratified_subset(LABELS, size=2, seed=0)} == {0, 1}


def test_another_seed_draws_other_rows_and_the_same_seed_the_same():
    first, second, again = (stratified_subset(LABELS, size=30, seed=seed) for seed in (0, 1, 0))
    assert first == again != second


def test_a_size_is_a_number_a_share_or_all():
    assert [subset_size(size, 90) for size in (None, 7, 0.1, 0.5, 0.001, 90)] == [90, 7, 9, 45, 1, 90]
    with pytest.raises(ValueError, match="train_size 91 is more than the 90 training texts: at most 90"):
        subset_size(91, 90)


def test_the_rows_of_a_part_belong_together():
    train = Split([f"row {row}" for row in range(100)], [[row] for row in range(100)], LABELS)
    part = part_of_train(train, size=0.2, seed=1)
    assert len(part.ids) == 20
    assert all(
        (id, label) == (f"row {row}", LABELS[row])
        for id, (row,), label in zip(part.ids, part.texts, part.labels, strict=True)
    )


@pytest.mark.parametrize("size", [None, 0.2])
def test_token_types_and_windows_stay_with_their_rows(size):
    rows = [[row, row] for row in range(100)]
    train = Split(list(map(str, range(100))), rows, LABELS, type_ids=rows, window_lengths=rows)
    part = part_of_train(train, size=size, seed=1)
    assert part.texts == part.type_ids == part.window_lengths
    assert [int(id) for id in part.ids] == [row for row, _ in part.texts]
