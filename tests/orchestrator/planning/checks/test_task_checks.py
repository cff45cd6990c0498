"""Task files against their data: what is counted, and every fault with its file and row."""

import json

import pytest

from layerscope.orchestrator.errors import ConfigurationError
from layerscope.orchestrator.experiment.task_files import read_task
from layerscope.orchestrator.planning.checks.task_checks import check_task, lines_of


def write_lines(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def write_task(folder, train, test, **fields):
    """A task file, and the data of its splits."""
    paths = {
        "train": write_lines(folder / "train.jsonl", *train),
        "test": write_lines(folder / "test.jsonl", *test),
    }
    data = {"source": "files"} | paths | fields.pop("data", {})
    path = folder / "task.yaml"
    path.write_text(json.dumps({"task": "mine", "data": data} | fields), encoding="utf-8")
    return path


def told(path) -> str:
    return "\n".join(lines_of(check_task(read_task(path, {}))))


def refused(path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        check_task(read_task(path, {}))
    assert caught.value.exit_code == 2
    return str(caught.value)


def rows(*labels, text="text"):
    return [{"text": f"{text} {number}", "label": label} for number, label in enumerate(labels)]


def test_rows_and_labels_are_counted(tmp_path):
    path = write_task(tmp_path, rows(*"aaab", "b"), rows(*"ab", text="other") + rows("a"))
    assert told(path).splitlines() == [
        "mine: 5 rows in train, 3 rows in test",
        "  labels in train: a 3, b 2",
        "  1 rows of test have the texts of a row of train",
    ]


def test_faults_of_all_splits_are_told_with_file_and_row(tmp_path):
    train = [*rows(*"abab"), {"text": " ", "label": "a"}, {"text": "x"}]
    message = refused(write_task(tmp_path, train, [{"text": 7, "label": "a"}]))
    assert message.startswith("task mine: train.jsonl:5: empty text\n  train.jsonl:6: no label")
    assert "test.jsonl:1: text of type int" in message


def test_a_label_that_train_lacks_and_a_wrong_column_are_told(tmp_path):
    message = refused(write_task(tmp_path, rows(*"abab"), rows("c")))
    assert "test.jsonl:1: label 'c' does not occur in train.jsonl" in message
    message = refused(write_task(tmp_path, rows(*"abab"), rows("a"), columns={"text": "words"}))
    assert "train.jsonl:1: no text: there is no column 'words' among text, label" in message


def test_faults_of_the_file_itself_are_told_with_its_line(tmp_path):
    message = refused(write_task(tmp_path, rows(*"abab"), rows("a"), metrik="accuracy"))
    assert "task.yaml:1:" in message
    assert "did you mean 'metric'?" in message
    message = refused(write_task(tmp_path, rows(*"abab"), rows("a"), metric="pearson"))
    assert "metric: labels are scored by accuracy, macro_f1, f1, matthews, not by pearson" in message


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"metric": "f1"}, "metric: f1 needs two labels, and there are 3"),
        ({"positive": "d"}, "positive: there is no label 'd' among a, b, c"),
        ({"predict": "number", "metric": "pearson"}, "train.jsonl:1: 'a' is not a finite number"),
        ({"predict": "number"}, "metric: numbers are scored by pearson, spearman, pearson_spearman"),
        ({"columns": {"choices": "choices"}}, "train.jsonl:1: no choices: there is no column 'choices'"),
        (
            {"columns": {"choices": "choices"}, "predict": "number"},
            "rows with choices always predict the correct one",
        ),
        ({"columns": {"spans": [{"start": "a"}]}}, "give start and end, or first_word and words"),
        (
            {"columns": {"spans": [{"of": "text_pair", "start": "a", "end": "b"}]}},
            "columns names no text_pair: must be text",
        ),
        ({"columns": {"spans": [{"start": "a", "end": "b"}]}}, "a must be a whole number from 0, not None"),
    ],
)
def test_what_does_not_fit_the_data_is_told(tmp_path, fields, fault):
    labels = [*"abcabc"]
    assert fault in refused(write_task(tmp_path, rows(*labels), rows(*"abc"), **fields))


def test_numbers_have_a_range(tmp_path):
    path = write_task(tmp_path, rows(0, 2.5, 5), rows(1), predict="number", metric="pearson_spearman")
    assert "numbers in train: 0 to 5, 2.5 on average" in told(path)


def test_choices_with_answers_are_counted(tmp_path):
    columns = {"text_pair": "query", "choices": "names", "answers": "answers", "placeholder": "@"}
    train = [
        {"text": f"a {number}", "query": "@ left", "names": ["Ann", "Bo", "Lee"][:number], "answers": ["Ann"]}
        for number in (1, 2, 3)
    ]
    train[2]["answers"] = ["Ann", "Bo"]
    test = [{"text": "b", "query": "@ left", "names": ["Bo"], "answers": ["Bo"]}]
    given = {"columns": columns, "metric": "token_f1"}
    assert told(write_task(tmp_path, train, test, **given)).splitlines() == [
        "mine: 3 rows in train, 1 rows in test",
        "  choices of a row in train: 1 to 3, 2 on average",
        "  correct ones of them in train: 1 to 2, 1.33 on average",
    ]
    wrong = [*test, test[0] | {"answers": ["Eve"]}, test[0] | {"query": "who left?"}]
    message = refused(write_task(tmp_path, train, wrong, **given))
    assert "test.jsonl:2: none of the answers 'Eve' is among the choices 'Bo'" in message
    assert "test.jsonl:3: second text without '@'" in message
    absent = refused(
        write_task(tmp_path, train, test, **given | {"columns": columns | {"answers": "answer"}})
    )
    assert "train.jsonl:1: no answers: there is no column 'answer'" in absent
    assert "did you mean 'answers'?" in absent


def test_spans_out_of_range_are_told(tmp_path):
    columns = {"spans": [{"start": "start", "end": "end"}]}
    sound = [{"text": "a bank", "label": label, "start": 2, "end": 6} for label in "abab"]
    path = write_task(tmp_path, sound, sound, columns=columns)
    assert told(path).splitlines()[0] == (
        "mine: 4 sentences with 4 units in train, 4 sentences with 4 units in test"
    )
    path = write_task(tmp_path, sound, [*sound, sound[0] | {"end": 7}], columns=columns)
    assert "test.jsonl:5: start 2 and end 7 are no span of a text of 6 characters" in refused(path)


def test_units_with_labels_that_train_lacks_are_counted(tmp_path):
    line = {"tokens": ["a", "b"], "span": [0, 1]}
    data = {"source": "annotated", "label": "tag"}
    train = [line | {"tag": tag} for tag in "xyxy"]
    told_lines = told(write_task(tmp_path, train, [line | {"tag": "z"}], data=data))
    assert "1 units of test have a label that is not in train, and will always be wrong: z" in told_lines
    bad = write_task(tmp_path, [*train, line | {"tag": "x", "span": [1, 3]}], train, data=data)
    assert "train.jsonl:5: span must be [first word, word after the last] of 2 words" in refused(bad)


def test_rows_without_a_label_are_left_out_where_the_task_says_so(tmp_path):
    train = [*rows(*"abab"), {"text": "x", "label": None}]
    assert "train.jsonl:5: no label" in refused(write_task(tmp_path, train, rows("a")))
    path = write_task(tmp_path, train, rows("a", text="other"), columns={"skip_unlabelled": True})
    assert told(path).startswith("mine: 4 rows in train")


def test_rows_with_an_empty_text_are_left_out_where_the_task_says_so(tmp_path):
    train = [*rows(*"abab"), {"text": " ", "label": "a"}, {"text": None, "label": "b"}]
    assert "train.jsonl:5: empty text" in refused(write_task(tmp_path, train, rows("a")))
    path = write_task(tmp_path, train, rows("a", text="other"), columns={"skip_empty": True})
    assert told(path).startswith("mine: 4 rows in train")
    without = [{"label": "a"}, *rows(*"ab")]
    path = write_task(tmp_path, without, rows("a"), columns={"skip_empty": True})
    assert "train.jsonl:1: no text: there is no column 'text'" in refused(path)


def test_hidden_labels_are_told_with_what_to_do(tmp_path):
    hidden = [{"text": "x", "label": ""}] * 2
    message = refused(write_task(tmp_path, rows(*"abab"), hidden))
    assert "test.jsonl:2: no label" in message
    assert message.endswith("name the split that validates as `test`")
    assert "split that validates" not in refused(write_task(tmp_path, rows(*"abab"), [*hidden, *rows("a")]))


def test_a_corpus_has_texts_only(tmp_path):
    path = write_task(tmp_path, [{"text": "a"}, {"text": "b"}], [])
    written = json.loads(path.read_text())
    del written["data"]["test"]
    path.write_text(json.dumps(written))
    assert told(path) == "mine: 2 rows in train"


def test_generated_data_are_counted(tmp_path):
    path = tmp_path / "task.yaml"
    for data, start in (
        ({"source": "sample", "target": "topic", "num_train": 16, "num_test": 4}, "mine: 16 rows in train"),
        ({"source": "sample_annotations", "label": "upos", "num_train": 5}, "mine: 5 sentences with"),
    ):
        path.write_text(json.dumps({"task": "mine", "data": data}))
        assert told(path).startswith(start)
