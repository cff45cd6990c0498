"""Rows with choices in the forms that data sets have them."""

import json

import pytest

from layerscope.jobs.specs.stages import Columns
from layerscope.jobs.text.reading.corpora import read_rows, sequences_of
from layerscope.jobs.text.reading.row_targets import check_targets
from layerscope.jobs.text.reading.rows import Row

NAMED = Columns(text="question", label="answer", choices="choices")
LISTED = Columns(text="question", label="answer", choices="endings")
SPREAD = Columns(text="question", label="answer", choices=("one", "two", "three"), first_choice=1)
TEXTS = ("a bank", "a mall", "home")


def read(folder, columns, *rows):
    path = folder / "train.jsonl"
    path.write_text("".join(json.dumps({"question": "Where?"} | row) + "\n" for row in rows))
    return read_rows(path, columns)


def refused(folder, columns, *rows) -> str:
    with pytest.raises(ValueError) as caught:
        read(folder, columns, *rows)
    return str(caught.value)


@pytest.mark.parametrize(
    ("columns", "fields", "names"),
    [
        (NAMED, {"choices": dict(zip("ABC", TEXTS, strict=True)), "answer": "B"}, "ABC"),
        (NAMED, {"choices": {"label": list("ABC"), "text": list(TEXTS)}, "answer": "B"}, "ABC"),
        (LISTED, {"endings": list(TEXTS), "answer": "1"}, "012"),
        (LISTED, {"endings": list(TEXTS), "answer": 1}, "012"),
        (SPREAD, dict(zip(("one", "two", "three"), TEXTS, strict=True)) | {"answer": 2}, "123"),
    ],
)
def test_every_form_gives_the_same_choices(tmp_path, columns, fields, names):
    rows = read(tmp_path, columns, fields)
    assert rows[0].choices == tuple(zip(names, TEXTS, strict=True))
    assert rows[0].label == names[1]
    assert check_targets({"train": rows}, "choice") == tuple(names)
    assert sequences_of(rows) == (["Where?"] * 3, list(TEXTS))


def test_white_space_around_a_label_is_not_part_of_it(tmp_path):
    texts = dict(zip(("one", "two", "three"), TEXTS, strict=True))
    assert read(tmp_path, SPREAD, texts | {"answer": "2\n"})[0].label == "2"


def test_both_texts_of_a_row_stand_before_each_choice():
    rows = [Row("1", "A story.", "0", "What now?", (("0", "Run"), ("1", "Stay")))]
    assert sequences_of(rows) == (["A story. What now?"] * 2, ["Run", "Stay"])


@pytest.mark.parametrize(
    ("columns", "fields", "reason"),
    [
        (LISTED, {"answer": "0"}, "train.jsonl:1: no choices: there is no column 'endings' among question"),
        (LISTED, {"endings": ["a"], "answer": "0"}, "choices: 1, and at least two are needed"),
        (LISTED, {"endings": "a", "answer": "0"}, "choices of type str, not a list or a mapping"),
        (LISTED, {"endings": ["a", " "], "answer": "0"}, "choice 1 is no text: ' '"),
        (LISTED, {"endings": ["a", "b"], "answer": "2"}, "label '2' is none of the choices 0, 1"),
        (LISTED, {"endings": ["a", "b"], "answer": ""}, "train.jsonl:1: no label"),
        (NAMED, {"choices": {"label": ["A"], "text": ["a", "b"]}, "answer": "A"}, "1 names of choices for 2"),
        (SPREAD, {"one": "a", "two": "b", "answer": 1}, "no choices: there is no column 'three'"),
    ],
)
def test_a_bad_row_is_refused_with_its_file_and_row(tmp_path, columns, fields, reason):
    assert reason in refused(tmp_path, columns, fields)


def test_all_rows_have_the_same_choices_in_the_same_order(tmp_path):
    rows = read(
        tmp_path,
        LISTED,
        {"endings": ["a", "b"], "answer": 0},
        {"endings": ["a", "b", "c"], "answer": 0},
    )
    with pytest.raises(ValueError, match="dev.jsonl:2: choices 0, 1, 2, but dev.jsonl:1 has 0, 1"):
        check_targets({"train": rows}, "choice", names={"train": "dev.jsonl"})


def test_numbers_are_read_as_they_are_and_nothing_else_is(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text('{"text": "a", "label": 2.5}\n{"text": "b", "label": "3"}\n{"text": "c", "label": 0}\n')
    rows = read_rows(path, predict="number")
    assert [float(row.label) for row in rows] == [2.5, 3, 0]
    assert check_targets({"train": rows}, "number") == ()
    with pytest.raises(ValueError, match="all numbers are the same"):
        check_targets({"train": rows[:1]}, "number")
    for value in ("much", True, None, float("inf")):
        path.write_text(json.dumps({"text": "a", "label": value}) + "\n")
        with pytest.raises(ValueError, match=r"train.jsonl:1: (.* is not a finite number|no number)"):
            read_rows(path, predict="number")
