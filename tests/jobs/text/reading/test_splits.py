from collections import Counter

import pytest

from layerscope.jobs.text.reading.splits import split_of_texts, stratified_sample, stratified_split

GOLDEN = [2, 3, 11, 18]


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("counts", [{"a": 500, "b": 300, "c": 200}, {"a": 37, "b": 63}, {"a": 90, "b": 10}])
def test_every_label_keeps_its_share_to_within_one_row(counts, fraction):
    labels = [label for label, count in counts.items() for _ in range(count)]
    train, validation = stratified_split(labels, fraction=fraction, seed=3)
    assert sorted(train + validation) == list(range(len(labels)))
    assert len(validation) == pytest.approx(len(labels) * fraction, abs=0.5)
    held_out = Counter(labels[row] for row in validation)
    assert all(abs(held_out[label] - count * fraction) < 1 for label, count in counts.items())


def test_a_rare_label_is_in_both_parts_and_a_lone_one_in_training():
    labels = ["common"] * 100 + ["pair"] * 2 + ["lone"]
    for seed in range(20):
        train, validation = stratified_split(labels, fraction=0.1, seed=seed)
        assert [labels[row] for row in validation].count("pair") == 1
        assert 102 in train
    _, most = stratified_split(labels, fraction=0.9, seed=0)
    assert [labels[row] for row in most].count("pair") == 1


def test_the_split_is_the_same_everywhere_and_for_ever():
    # These rows were drawn once and written down; another result breaks every stored split.
    assert stratified_split(["x", "y"] * 10, fraction=0.2, seed=0)[1] == GOLDEN
    assert stratified_split(["x", "y"] * 10, fraction=0.2, seed=1)[1] != GOLDEN


def test_the_draw_favours_no_row():
    labels = ["x", "y"] * 10
    times = Counter(
        row for seed in range(400) for row in stratified_split(labels, fraction=0.2, seed=seed)[1]
    )
    # Each row is drawn 80 times on average, with a standard deviation of 8: five of them to either side.
    assert all(40 < times[row] < 120 for row in range(20))


def test_a_sample_has_its_size_and_every_label_its_share():
    labels = ["a"] * 60 + ["b"] * 30 + ["c"] * 10
    rows = stratified_sample(labels, size=20, seed=1)
    assert rows == sorted(set(rows))
    assert Counter(labels[row] for row in rows) == {"a": 12, "b": 6, "c": 2}
    assert rows != stratified_sample(labels, size=20, seed=2)


@pytest.mark.parametrize("size", [None, 4])
def test_a_sample_of_all_rows_is_all_of_them(size):
    assert stratified_sample(["x", "y", "x", "y"], size=size, seed=0) == [0, 1, 2, 3]


def test_a_sample_of_more_rows_than_there_are_is_refused():
    with pytest.raises(ValueError, match=r"sample\.test: must be at most 4, .*, not 5"):
        stratified_sample(["x", "y", "x", "y"], size=5, seed=0, split="test")


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("fraction", [0.1, 0.3, 0.9])
def test_copies_of_a_text_are_in_one_part_and_labels_keep_their_share(fraction, seed):
    texts = [number // 2 for number in range(120)]
    labels = ["a" if text % 3 else "b" for text in texts]
    train, validation = split_of_texts(labels, texts, fraction=fraction, seed=seed)
    assert sorted(train + validation) == list(range(120))
    assert not {texts[row] for row in train} & {texts[row] for row in validation}
    held_out = Counter(labels[row] for row in validation)
    # A text of two rows that no longer fits is left out: at most one row a label below its share.
    assert held_out["a"] == pytest.approx(80 * fraction, abs=1.5)
    assert held_out["b"] == pytest.approx(40 * fraction, abs=1.5)


def test_without_copies_the_split_is_what_it_was():
    labels = ["x", "y"] * 10
    assert split_of_texts(labels, range(20), fraction=0.2, seed=0)[1] == GOLDEN


def test_a_text_with_two_labels_is_in_one_part():
    labels, texts = ["x", "y"] * 10, [0, 0, *range(1, 19)]
    for seed in range(20):
        train, _ = split_of_texts(labels, texts, fraction=0.3, seed=seed)
        assert (0 in train) == (1 in train)


def test_a_label_of_one_text_stays_in_training_where_another_can_validate():
    labels, texts = ["x"] * 4 + ["y"] * 4, [0, 0, 0, 0, 1, 2, 3, 4]
    train, validation = split_of_texts(labels, texts, fraction=0.5, seed=0)
    assert set(train) >= {0, 1, 2, 3}
    assert validation


def test_where_no_label_has_two_texts_copies_are_parted():
    labels, texts = ["x"] * 4 + ["y"] * 4, [0] * 4 + [1] * 4
    drawing = {"fraction": 0.25, "seed": 0}
    assert split_of_texts(labels, texts, **drawing) == stratified_split(labels, **drawing)
