"""Rows with differently many choices, of which several may be right."""

import json

import pytest

from layerscope.jobs.specs.stages import Columns
from layerscope.jobs.text.reading.corpora import read_rows, sequences_of
from layerscope.jobs.text.reading.right_answers import answers_of
from layerscope.jobs.text.reading.row_targets import check_targets

CLOZE = Columns(
    text="passage", text_pair="query", choices="entities", answers="answers", placeholder="@placeholder"
)
ROW = {
    "passage": "Ann Lee met Bo in Rome. Lee left.",
    "query": "@placeholder left Bo, says @placeholder",
    "entities": ["Ann Lee", "Bo", "Lee", "Rome"],
    "answers": ["Ann Lee", "Lee"],
}


def read(folder, *rows, columns=CLOZE, **fields):
    path = folder / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_rows(path, columns, **fields)


def refused(folder, row, **fields) -> str:
    with pytest.raises(ValueError) as caught:
        read(folder, row, **fields)
    return str(caught.value)


def test_each_choice_is_read_in_the_place_of_the_placeholder(tmp_path):
    rows = read(tmp_path, ROW, ROW | {"entities": ["Lee", "Bo"]})
    assert rows[0].label is None
    assert rows[0].answers == ("Ann Lee", "Lee")
    firsts, seconds = sequences_of(rows)
    assert firsts == [ROW["passage"]] * 6
    assert seconds[0] == "Ann Lee left Bo, says Ann Lee"
    assert seconds[4:] == ["Lee left Bo, says Lee", "Bo left Bo, says Bo"]
    assert check_targets({"train": rows[1:], "test": rows}, "answers") == ("0", "1", "2", "3")


def test_without_a_placeholder_a_choice_stands_after_both_texts(tmp_path):
    (row,) = read(tmp_path, ROW, columns=CLOZE.model_copy(update={"placeholder": None}))
    assert sequences_of([row])[0] == [f"{ROW['passage']} {ROW['query']}"] * 4
    assert sequences_of([row])[1] == ROW["entities"]


def test_texts_alone_need_no_answers(tmp_path):
    hidden = {name: value for name, value in ROW.items() if name != "answers"}
    (row,) = read(tmp_path, hidden, has_label=False)
    assert row.answers is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"answers": None}, "train.jsonl:1: no answers"),
        ({"answers": []}, "train.jsonl:1: no answers"),
        ({"answers": "Lee"}, "answers of type str, not a list"),
        ({"answers": [" "]}, "answer ' ' is no text"),
        (
            {"answers": ["Eve"]},
            "none of the answers 'Eve' is among the choices 'Ann Lee', 'Bo', 'Lee', 'Rome'",
        ),
        ({"entities": []}, "choices: 0, and at least one is needed"),
        ({"query": "who left Bo?"}, "second text without '@placeholder', in whose place a choice is read"),
    ],
)
def test_a_bad_row_is_refused_with_its_file_and_row(tmp_path, changes, reason):
    assert reason in refused(tmp_path, ROW | changes)


def test_a_column_that_is_not_there_is_told():
    from layerscope.jobs.text.reading.right_answers import answer_fault

    fields = {name: value for name, value in ROW.items() if name != "answers"} | {"answer": ["Lee"]}
    assert answer_fault(fields, CLOZE).endswith("did you mean 'answer'?")


def test_rows_without_answers_are_left_out_where_the_task_says_so(tmp_path):
    skipping = CLOZE.model_copy(update={"skip_unlabelled": True})
    rows = read(tmp_path, ROW | {"answers": []}, ROW, columns=skipping)
    assert [row.id for row in rows] == ["2"]


def test_rows_of_one_choice_alone_teach_nothing(tmp_path):
    rows = read(tmp_path, ROW | {"entities": ["Lee"]})
    with pytest.raises(ValueError, match="no row has more than one choice"):
        check_targets({"train": rows}, "answers")


def test_choices_are_compared_without_case_punctuation_and_articles():
    """The examples are worked by hand: 2 shared words of 2 and 3 make 2 * 2 / 5."""
    found = answers_of(["the U.S.", "Lee Ann", "Lee", "Rome"], ["US", "Ann Lee"])
    assert found.right == (0,)
    assert found.token_f1 == pytest.approx((1, 1, 2 / 3, 0))
    assert answers_of(["New York City"], ["New York"]).token_f1 == pytest.approx((0.8,))
    # Words count as often as they occur.
    assert answers_of(["Duran Duran"], ["Duran"]).token_f1 == pytest.approx((2 / 3,))
