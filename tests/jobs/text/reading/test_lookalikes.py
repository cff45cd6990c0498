"""Labels that look the same are refused; those that may be meant to be one are told."""

import pytest

from layerscope.jobs.text.reading.lookalikes import alike
from layerscope.jobs.text.reading.row_targets import check_labels
from layerscope.jobs.text.reading.rows import Row


def rows_of(*labels: str) -> list[Row]:
    return [Row(str(number), f"text {number}", label) for number, label in enumerate(labels * 2, start=1)]


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (" café", "white space"),
        ("\u00a0café", "white space"),
        ("cafe\u0301", "how accents are written"),
        ("café\u200b", "characters that take no room"),
        ("cafe\u0301 ", "white space and how accents"),
    ],
)
def test_labels_that_look_the_same_are_refused_with_the_rows_of_both(other, difference):
    with pytest.raises(ValueError) as caught:
        check_labels({"train": rows_of("café", other, "x"), "test": []}, names={"train": "a.csv"})
    assert f"a.csv:2: label {ascii(other)} looks like {ascii('café')} of a.csv:1" in str(caught.value)
    assert difference in str(caught.value)


@pytest.mark.parametrize("labels", [("a", "A"), ("7", "007"), (" lead", "tab\there"), ("ﬁ", "fi")])
def test_labels_that_differ_to_the_eye_stay_apart(labels):
    assert check_labels({"train": rows_of(*labels), "test": []}) == tuple(sorted(labels))


def test_labels_that_may_be_one_are_told():
    assert list(alike(["No", "no", "yes", "1", "1.0", "x1"])) == [
        "labels 'No', 'no' differ only in upper and lower case, and are 2 labels",
        "labels '1', '1.0' are the same number, and are 2 labels",
    ]


def test_a_label_that_train_lacks_is_told_with_the_one_that_it_is_like():
    test = [Row("1", "x", "NO"), Row("2", "x", "yes "), Row("3", "x", "1.0"), Row("4", "x", "other")]
    with pytest.raises(ValueError) as caught:
        check_labels({"train": rows_of("no", "yes", "1"), "test": test})
    first, second, third, fourth, _ = str(caught.value).splitlines()
    assert first.endswith("label 'NO' does not occur in train; 'no' does")
    assert second.endswith("label 'yes ' does not occur in train; 'yes' does")
    assert third.endswith("label '1.0' does not occur in train; '1' does")
    assert fourth.endswith("label 'other' does not occur in train")
