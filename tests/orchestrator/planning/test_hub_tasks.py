"""Shipped tasks of the Hub against small data sets with the columns that they have there."""

from pathlib import Path

import pytest

from layerscope.jobs import tokenise_annotations
from layerscope.jobs.artifacts.examples import read_examples
from layerscope.jobs.context import StageContext
from layerscope.jobs.specs.annotations import TokeniseAnnotationsSpec
from layerscope.jobs.specs.stages import HubData, ValidationSplit
from layerscope.jobs.text.tokenising.tokenizer import tokenizer_digest
from layerscope.orchestrator.experiment.task_files import read_task
from layerscope.orchestrator.planning.checks.task_checks import check_task

TASKS = Path(__file__).parents[3] / "configs" / "tasks"
FOUR = ["0", "1", "2", "3"]

COLUMNS = {
    "copa": (
        {
            "premise": "I fell.",
            "choice1": "It was icy.",
            "choice2": "I ran.",
            "question": "cause",
            "label": 0,
        },
        ["choice1", "choice2"],
    ),
    "wic_full": (
        {
            "word": "bank",
            "sentence1": "A bank lends.",
            "sentence2": "The river bank.",
            "start1": 2,
            "end1": 6,
            "start2": 10,
            "end2": 14,
            "label": 0,
        },
        ["False", "True"],
    ),
    "wsc": (
        {
            "text": "Mark told Pete lies, which Pete used. He should not.",
            "span1_index": 0,
            "span2_index": 7,
            "span1_text": "Mark",
            "span2_text": "He",
            "label": 1,
        },
        ["False", "True"],
    ),
    "swag": (
        {
            "sent1": "He runs.",
            "sent2": "He",
            **{f"ending{place}": f"stops {place}." for place in FOUR},
            "label": 2,
        },
        FOUR,
    ),
    "hellaswag": ({"ctx": "A man is", "endings": ["a", "b", "c", "d"], "label": "3"}, None),
    "socialiqa": (
        {"context": "A.", "question": "Why?", "answerA": "a", "answerB": "b", "answerC": "c", "label": "3"},
        None,
    ),
    "cosmosqa": (
        {"context": "A.", "question": "Why?", **{f"answer{place}": place for place in FOUR}, "label": 0},
        None,
    ),
    "multirc": (
        {"paragraph": "A.", "question": "Why?", "answer": "B.", "label": 1},
        ["False", "True"],
    ),
    "mrpc": (
        {"sentence1": "a", "sentence2": "b", "label": 0, "idx": 1},
        ["not_equivalent", "equivalent"],
    ),
    "mnli": (
        {"premise": "a", "hypothesis": "b", "label": 0},
        ["entailment", "neutral", "contradiction"],
    ),
    "snli_full": (
        {"premise": "a", "hypothesis": "b", "label": -1},
        ["entailment", "neutral", "contradiction"],
    ),
    "scitail": ({"premise": "a", "hypothesis": "b", "label": "entails"}, None),
    "cola_full": ({"sentence": "a", "label": 1, "idx": 0}, ["unacceptable", "acceptable"]),
    "rte_full": ({"sentence1": "a", "sentence2": "b", "label": 0}, ["entailment", "not_entailment"]),
    "wnli_full": ({"sentence1": "a", "sentence2": "b", "label": 0}, ["not_entailment", "entailment"]),
    "sst2": ({"sentence": "good", "label": 1}, ["negative", "positive"]),
}
"""A row of each, and the names of its classes where the label is a number there."""
OTHERS = {"hellaswag": "0", "socialiqa": "1", "cosmosqa": 1, "scitail": "neutral"}
"""Another label, where there are no classes."""


def fake_dataset(name):
    import datasets

    row, classes = COLUMNS[name]
    labels = [row["label"], *(range(len(classes)) if classes else [OTHERS[name]])] * 2
    dataset = datasets.Dataset.from_list([row | {"label": label} for label in labels])
    return dataset.cast_column("label", datasets.ClassLabel(names=classes)) if classes else dataset


@pytest.fixture
def hub(monkeypatch):
    """A Hub that has one data set under whatever name; returns what was asked for."""
    asked = []

    def offer(name):
        def load(dataset, subset, *, split, revision):
            asked.append((dataset, subset, split))
            return fake_dataset(name)

        monkeypatch.setattr("datasets.load_dataset", load)
        monkeypatch.setattr(
            "layerscope.orchestrator.planning.checks.task_checks.resolve_revision", lambda *_: "c" * 40
        )
        return asked

    return offer


@pytest.mark.parametrize("name", COLUMNS)
def test_the_columns_of_a_task_are_read(name, hub):
    asked = hub(name)
    task = read_task(TASKS / f"{name}.yaml", {})
    checked = check_task(task)
    assert [split for _, _, split in asked] == [
        split for split in (task.data.train, task.data.validation, task.data.test) if split is not None
    ]
    row, classes = COLUMNS[name]
    num_rows = 2 * (1 + len(classes or "x")) - 2 * (row["label"] == -1)
    assert set(checked.num_rows.values()) == {num_rows}
    assert sum(checked.num_by_label["train"].values()) == num_rows


def test_labels_are_told_by_the_names_that_choices_have(hub):
    hub("copa")
    assert check_task(read_task(TASKS / "copa.yaml", {})).num_by_label["train"] == {"0": 4, "1": 2}
    hub("socialiqa")
    assert check_task(read_task(TASKS / "socialiqa.yaml", {})).num_by_label["test"] == {
        "1": 2,
        "2": 0,
        "3": 2,
    }
    hub("mrpc")
    labels = check_task(read_task(TASKS / "mrpc.yaml", {})).num_by_label["train"]
    assert list(labels) == ["not_equivalent", "equivalent"]


@pytest.mark.parametrize("name", ["wic_full", "wsc"])
def test_marked_spans_of_the_hub_become_units(name, hub, tmp_path):
    hub(name)
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}', encoding="utf-8")
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n", encoding="utf-8")
    out = tmp_path / "out"
    out.mkdir()
    spec = TokeniseAnnotationsSpec(
        data=HubData(name="any", revision="c" * 40, test="validation"),
        tokenizer=tokenizer_digest(tmp_path),
        max_length=64,
        validation=ValidationSplit(fraction=0.4),
        columns=read_task(TASKS / f"{name}.yaml", {}).columns,
    )
    tokenise_annotations.run(spec, StageContext(inputs={"tokenizer": tmp_path}, out=out, scratch=out))
    test = read_examples(out, "test")
    assert len(test.ids) == 6
    assert {len(units[0]) for units in test.spans} == {2}
    assert (test.type_ids is not None) == (name == "wic_full")
