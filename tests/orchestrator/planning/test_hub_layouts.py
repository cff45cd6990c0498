"""Shipped tasks against folders laid out as repositories of the Hub, read by `datasets` itself."""

import json

import pytest

from layerscope.jobs import prepare
from layerscope.jobs.artifacts.tokenised import read_split
from layerscope.jobs.context import StageContext
from layerscope.jobs.specs.stages import Columns, HubData, PrepareSpec, SpanColumns
from layerscope.jobs.text.tokenising.tokenizer import tokenizer_digest
from layerscope.orchestrator.errors import ConfigurationError
from layerscope.orchestrator.experiment.task_files import read_task
from layerscope.orchestrator.experiment.tasks import Hub, Task
from layerscope.orchestrator.planning.checks.task_checks import check_task
from tests.orchestrator.planning.test_hub_tasks import TASKS

COMMIT = "c" * 40


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def write_parquet(path, rows, **features):
    """Rows in one file; types that Arrow would not guess are given by column."""
    import datasets

    dataset = datasets.Dataset.from_list(rows)
    known = datasets.Features(dataset.features | features)
    path.parent.mkdir(parents=True, exist_ok=True)
    datasets.Dataset.from_list(rows, features=known).to_parquet(path)
    return known


def write_repository(folder, subset, rows_by_split, **features):
    """As `push_to_hub` and the conversion of scripts leave it: a folder a subset, named in the card."""
    where = subset or "data"
    for split, rows in rows_by_split.items():
        known = write_parquet(folder / where / f"{split}-00000-of-00001.parquet", rows, **features)
    info = {"features": known._to_yaml_list()}
    info["splits"] = [
        {"name": split, "num_bytes": 1, "num_examples": len(rows)} for split, rows in rows_by_split.items()
    ]
    files = [{"split": split, "path": f"{where}/{split}-*"} for split in rows_by_split]
    name = {"config_name": subset or "default"}
    card = {"dataset_info": [name | info], "configs": [name | {"data_files": files}]}
    (folder / "README.md").write_text(f"---\n{json.dumps(card)}\n---\n# A card\n", encoding="utf-8")


def write_converted(folder, rows_by_split):
    """As the branch `refs/convert/parquet`: a folder a split, and no card."""
    for split, rows in rows_by_split.items():
        write_parquet(folder / "default" / split / "0000.parquet", rows)


def shipped(name, folder, **changes) -> Task:
    """A shipped task, read from a folder."""
    task = read_task(TASKS / f"{name}.yaml", {})
    found = {"name": str(folder), "revision": COMMIT} | changes
    return task.model_copy(update={"data": task.data.model_copy(update=found)})


def own(folder, columns, **data) -> Task:
    return Task(task="own", data=Hub(name=str(folder), revision=COMMIT, **data), columns=Columns(**columns))


def classes(*names):
    import datasets

    return datasets.ClassLabel(names=list(names))


def refused(task) -> str:
    with pytest.raises(ConfigurationError) as caught:
        check_task(task)
    return str(caught.value)


PAIRS = [
    {"sentence1": "a b", "sentence2": "b a", "label": 1, "idx": 0},
    {"sentence1": "a b", "sentence2": "c", "label": 0, "idx": 1},
] * 2
CLOZES = [
    {
        "passage": "Ann met Bo in Rome.",
        "query": "@placeholder met Ann.",
        "entities": ["Ann", "Bo", "Rome"][: 2 + place % 2],
        "entity_spans": {"text": ["Ann"], "start": [0], "end": [3]},
        "answers": ["Bo"],
        "idx": {"passage": 0, "query": place},
    }
    for place in range(4)
]
NO_ANSWERS = [row | {"answers": []} for row in CLOZES]


def write_glue(folder):
    hidden = [row | {"label": -1} for row in PAIRS]
    splits = {"train": PAIRS, "validation": PAIRS[:2], "test": hidden}
    write_repository(folder, "mrpc", splits, label=classes("not_equivalent", "equivalent"))


def write_record(folder):
    import datasets

    strings = datasets.Sequence(datasets.Value("string"))
    splits = {"train": CLOZES, "validation": CLOZES[:3], "test": NO_ANSWERS}
    write_repository(folder, "record", splits, entities=strings, answers=strings)


def test_classes_of_a_subset_have_their_names(tmp_path):
    write_glue(tmp_path / "glue")
    checked = check_task(shipped("mrpc", tmp_path / "glue"))
    assert checked.num_rows == {"train": 4, "test": 2}
    assert checked.num_by_label["test"] == {"not_equivalent": 1, "equivalent": 1}


def test_lists_and_structures_beside_them_are_read(tmp_path):
    write_record(tmp_path / "super_glue")
    checked = check_task(shipped("record", tmp_path / "super_glue"))
    assert checked.num_rows == {"train": 4, "test": 3}
    assert checked.notes[0] == "choices of a row in train: 2 to 3, 2.5 on average"


def test_a_subset_with_a_point_in_its_name_and_numbers_of_words(tmp_path):
    row = {
        "text": "Mark told Pete lies, which Pete used.",
        "span1_index": 0,
        "span2_index": 5,
        "span1_text": "Mark",
        "span2_text": "Pete",
        "idx": 0,
        "label": 1,
    }
    rows = [row, row | {"label": 0}] * 2
    splits = {"train": rows, "validation": rows, "test": [row | {"label": -1}]}
    write_repository(tmp_path / "glue", "wsc.fixed", splits, label=classes("False", "True"))
    assert check_task(shipped("wsc", tmp_path / "glue")).num_by_label["test"] == {"False": 2, "True": 2}


def test_a_class_may_name_the_column_of_a_choice(tmp_path):
    row = {"premise": "I fell.", "choice1": "Ice.", "choice2": "Run.", "question": "cause", "label": 0}
    rows = [row, row | {"label": 1}, row]
    splits = {"train": rows, "validation": rows[:1]}
    write_repository(tmp_path / "glue", "copa", splits, label=classes("choice1", "choice2"))
    assert check_task(shipped("copa", tmp_path / "glue")).num_by_label["train"] == {"0": 2, "1": 1}


def test_splits_have_names_of_their_own(tmp_path):
    rows = [{"premise": "a", "hypothesis": "b", "label": label, "reason": None} for label in (0, 1, 2)] * 2
    splits = {f"{split}_r{number}": rows for number in (1, 2, 3) for split in ("train", "dev", "test")}
    names = classes("entailment", "neutral", "contradiction")
    write_repository(tmp_path / "anli", None, splits, label=names)
    checked = check_task(shipped("anli_r2", tmp_path / "anli"))
    assert checked.num_rows == {"train": 6, "validation": 6, "test": 6}


def test_labels_may_be_words(tmp_path):
    rows = [{"premise": "a", "hypothesis": "b", "label": label} for label in ("entails", "neutral")] * 2
    splits = dict.fromkeys(("train", "validation", "test"), rows)
    write_repository(tmp_path / "scitail", "tsv_format", splits)
    checked = check_task(shipped("scitail", tmp_path / "scitail"))
    assert checked.num_by_label["validation"] == {"entails": 2, "neutral": 2}


def test_a_converted_branch_has_a_folder_for_each_split_and_no_card(tmp_path):
    row = {"context": "A.", "question": "Why?", "answerA": "a", "answerB": "b", "answerC": "c"}
    # The labels of this data set were read from a file of lines.
    rows = [row | {"label": label} for label in ("1\n", "2\n", "3\n")]
    write_converted(tmp_path / "social_i_qa", {"train": rows, "validation": rows[:2]})
    checked = check_task(shipped("socialiqa", tmp_path / "social_i_qa"))
    assert checked.num_rows == {"train": 3, "test": 2}
    assert checked.num_by_label["train"] == {"1": 1, "2": 1, "3": 1}


def test_choices_are_a_column_of_lists(tmp_path):
    rows = [{"ctx": "A man", "endings": ["is.", "has.", "was.", "had."], "label": str(n)} for n in range(4)]
    splits = {"train": rows, "validation": rows, "test": [row | {"label": ""} for row in rows]}
    write_repository(tmp_path / "hellaswag", None, splits)
    assert check_task(shipped("hellaswag", tmp_path / "hellaswag")).num_rows["test"] == 4


def test_choices_are_a_column_of_names_and_texts(tmp_path):
    choices = {"label": ["A", "B"], "text": ["a bank", "a mall"]}
    rows = [{"id": "x", "question": "Where?", "choices": choices, "answerKey": key} for key in "ABA"]
    write_repository(tmp_path / "commonsense_qa", None, {"train": rows, "validation": rows})
    checked = check_task(shipped("commonsenseqa_full", tmp_path / "commonsense_qa"))
    assert checked.num_by_label["train"] == {"A": 2, "B": 1}


def test_numbers_are_read_in_single_precision(tmp_path):
    import datasets

    rows = [{"sentence1": "a", "sentence2": "b", "label": number, "idx": 0} for number in (0.0, 2.4, 5.0)]
    splits = {"train": rows, "validation": rows}
    write_repository(tmp_path / "glue", "stsb", splits, label=datasets.Value("float32"))
    checked = check_task(shipped("stsb_full", tmp_path / "glue"))
    assert checked.notes[0] == "numbers in train: 0 to 5, 2.47 on average"


def test_json_lines_are_data_files_too(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    for split in ("train", "test"):
        rows = [{"text": f"{split} {place}", "label": place % 2} for place in range(4)]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert check_task(own(folder, {})).num_by_label["test"] == {"0": 2, "1": 2}


def test_empty_questions_are_left_out(tmp_path):
    row = {"question1": "How?", "question2": "Why?", "label": 0, "idx": 0}
    rows = [row, row | {"label": 1}, row | {"question2": ""}, row | {"label": 1}, row]
    names = classes("not_duplicate", "duplicate")
    write_repository(tmp_path / "glue", "qqp", {"train": rows, "validation": rows}, label=names)
    task = shipped("qqp", tmp_path / "glue")
    assert check_task(task).num_rows == {"train": 4, "test": 4}
    strict = task.model_copy(update={"columns": task.columns.model_copy(update={"skip_empty": False})})
    assert "train:3: empty second text" in refused(strict)


def test_what_was_read_is_prepared(tmp_path):
    write_record(tmp_path / "super_glue")
    encoder, out = tmp_path / "encoder", tmp_path / "out"
    encoder.mkdir()
    out.mkdir()
    (encoder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}', encoding="utf-8")
    (encoder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nbo\n", encoding="utf-8")
    spec = PrepareSpec(
        data=HubData(name=str(tmp_path / "super_glue"), subset="record", revision=COMMIT, test="validation"),
        tokenizer=tokenizer_digest(encoder),
        truncation="head",
        max_length=32,
        columns=read_task(TASKS / "record.yaml", {}).columns,
    )
    prepare.run(spec, StageContext(inputs={"tokenizer": encoder}, out=out, scratch=out))
    test = read_split(out, "test")
    assert [answers.right for answers in test.answers] == [(1,)] * 3
    assert [len(lengths) for lengths in test.window_lengths] == [2, 3, 2]


def test_a_column_that_is_not_there_is_told_with_those_that_are(tmp_path):
    write_glue(tmp_path / "glue")
    task = shipped("mrpc", tmp_path / "glue")
    wrong = Columns(text="sentence_1", text_pair="sentence2")
    message = refused(task.model_copy(update={"columns": wrong}))
    assert "(mrpc), split train" in message
    assert "there is no column 'sentence_1' among sentence1, sentence2, label, idx" in message
    assert "did you mean 'sentence1'?" in message


def test_a_subset_or_split_that_is_not_there_is_told(tmp_path):
    write_glue(tmp_path / "glue")
    assert "'mrcp' not found. Available: ['mrpc']" in refused(
        shipped("mrpc", tmp_path / "glue", subset="mrcp")
    )
    message = refused(shipped("mrpc", tmp_path / "glue", test="dev"))
    assert 'Unknown split "dev". Should be one of' in message


def test_labels_that_are_wrong_are_told(tmp_path):
    write_glue(tmp_path / "glue")
    task = shipped("mrpc", tmp_path / "glue")
    assert "there is no label 'same' among equivalent, not_equivalent" in refused(
        task.model_copy(update={"positive": "same"})
    )
    row = {"context": "A.", "question": "Why?", **{f"answer{place}": "a" for place in range(4)}}
    rows = [row | {"label": label} for label in (0, 3, 4)]
    write_converted(tmp_path / "cosmos_qa", {"train": rows, "validation": rows})
    message = refused(shipped("cosmosqa", tmp_path / "cosmos_qa"))
    assert "/train:3: label '4' is none of the choices 0, 1, 2, 3" in message


@pytest.mark.parametrize(
    ("name", "write", "what"), [("mrpc", write_glue, "label"), ("record", write_record, "answers")]
)
def test_hidden_labels_are_told_with_what_to_do(tmp_path, name, write, what):
    write(tmp_path / "hub")
    message = refused(shipped(name, tmp_path / "hub", test="test"))
    assert f"/test:1: no {what}\n" in message
    assert message.endswith("name the split that validates as `test`")


def test_hidden_labels_of_spans_are_told_alike(tmp_path):
    row = {"text": "a b", "from": 0, "to": 1, "label": 0}
    splits = {"train": [row, row | {"label": 1}], "test": [row | {"label": -1}]}
    write_repository(tmp_path / "hub", None, splits, label=classes("x", "y"))
    task = own(tmp_path / "hub", {"spans": (SpanColumns(start="from", end="to"),)})
    assert "name the split that validates as `test`" in refused(task)


def test_a_split_without_rows_is_told(tmp_path):
    import datasets

    write_converted(tmp_path / "hub", {"train": [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]})
    empty = datasets.Features({"text": datasets.Value("string"), "label": datasets.Value("string")})
    path = tmp_path / "hub" / "default" / "test" / "0000.parquet"
    path.parent.mkdir()
    datasets.Dataset.from_dict({"text": [], "label": []}, features=empty).to_parquet(path)
    message = refused(own(tmp_path / "hub", {}))
    assert "no data" in message


def test_a_script_is_not_run_and_another_branch_is_named(tmp_path):
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "old.py").write_text("raise AssertionError", encoding="utf-8")
    message = refused(own(folder, {}))
    assert "scripts are no longer supported" in message
    assert "`revision: refs/convert/parquet` names the branch" in message
