"""What a plan says of data, and what of it is in the keys: copies, layouts, words without a label."""

import json

import pytest

from layerscope.jobs.specs.stages import Layout
from layerscope.orchestrator.errors import ConfigurationError
from layerscope.orchestrator.showing import plan_object, print_plan
from tests.orchestrator.bench import Bench


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def jsonl(bench, name, rows):
    path = bench.root / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def rows(*labels, copies=0):
    made = [{"text": f"text {number}", "label": label} for number, label in enumerate(labels)]
    return made + made[:copies]


def task_of(bench, train, **fields):
    train, test = jsonl(bench, "train.jsonl", train), jsonl(bench, "test.jsonl", rows("a", "b")[:1])
    return {"task": "mine", "data": {"source": "files", "train": train, "test": test}} | fields


def prepared(bench, task):
    (stage,) = {
        stage.key: stage for stage in bench.plan(tasks=[task]).stages().values() if stage.kind == "prepare"
    }.values()
    return stage.spec


def test_a_plan_says_what_is_worth_knowing_of_the_data(bench, capsys):
    workspace = bench.open(tasks=[task_of(bench, rows(*"aA" * 10, copies=3))])
    *of_data, of_tokens = workspace.sources.notes
    assert "mine: with the tokenizer of encoder" in of_tokens
    assert tuple(of_data) == (
        "mine: labels 'A', 'a' differ only in upper and lower case, and are 2 labels",
        "mine: 3 rows of train are copies of an earlier one's texts, and 0 texts have contradicting labels; "
        "the validation split keeps copies together",
        "mine: 1 rows of test have the texts of a row of train",
    )
    schedule = workspace.schedule()
    assert plan_object(workspace, schedule)["notes"] == list(workspace.sources.notes)
    print_plan(workspace, schedule, all_stages=False)
    assert workspace.sources.notes[1] in capsys.readouterr().out


def test_labels_of_one_text_are_told(bench):
    train = [{"text": "same", "label": "a"}] * 3 + rows(*"bbb")
    notes = bench.open(tasks=[task_of(bench, train)]).sources.notes
    assert "mine: all rows of a label have the same text, so none is in the validation split: 'a'" in notes


def delimited(bench, suffix, content, **data):
    for split in ("train", "test"):
        (bench.root / f"{split}{suffix}").write_text(content)
    paths = {split: str(bench.root / f"{split}{suffix}") for split in ("train", "test")}
    return {"task": "mine", "data": {"source": "files"} | paths | data}


TSV = "text\tlabel\n" + "".join(f'"text {number}"\t{"ab"[number % 2]}\n' for number in range(8))


def test_a_layout_is_in_the_key_where_it_is_not_that_of_the_suffix(bench):
    usual = prepared(bench, delimited(bench, ".tsv", TSV))
    assert usual.data.layout is None
    assert prepared(bench, delimited(bench, ".tsv", TSV, quoting="none", delimiter="\t")) == usual
    other = prepared(bench, delimited(bench, ".tsv", TSV, quoting="standard"))
    assert other.data.layout == Layout(delimiter="\t", quoting="standard")
    assert other.data.train == usual.data.train


def test_files_of_two_suffixes_need_the_whole_layout(bench):
    task = delimited(bench, ".tsv", TSV, quoting="standard")
    (bench.root / "test.csv").write_text(TSV.replace("\t", ","))
    task["data"]["test"] = str(bench.root / "test.csv")
    with pytest.raises(ConfigurationError, match="give both delimiter and quoting under data"):
        bench.open(tasks=[task])
    (bench.root / "test.csv").write_text(TSV)
    task["data"]["delimiter"] = "\t"
    assert prepared(bench, task).data.layout == Layout(delimiter="\t", quoting="standard")


def test_the_same_corpus_as_csv_and_as_tsv_has_two_keys(bench):
    def read(suffix):
        path = bench.root / f"texts{suffix}"
        path.write_text('text\n"one"\n"two"\n')
        corpus = {"task": "raw", "data": {"source": "files", "train": str(path)}}
        return bench.open(corpora=[corpus]).sources.corpora["raw"].data

    assert read(".csv") != read(".tsv")


def test_a_corpus_of_one_text_again_and_again_is_refused(bench):
    corpus = {"task": "raw", "data": {"source": "files", "train": jsonl(bench, "c.jsonl", rows("a") * 3)}}
    with pytest.raises(ConfigurationError, match="has only one text: a corpus needs two"):
        bench.open(corpora=[corpus])


def conllu(bench, *tags):
    words = "".join(f"{n}\tw{n}\t_\t{tag}\t_\t_\t_\t_\t_\t_\n" for n, tag in enumerate(tags, start=1))
    path = bench.root / "x.conllu"
    path.write_text(words + "\n" + words.replace("\tw", "\tv"))
    data = {"source": "annotated", "train": str(path), "test": str(path), "label": "upos"}
    return {"task": "tags", "data": data}


def test_words_without_a_label_are_reported(bench):
    whole = bench.open(tasks=[conllu(bench, "A", "B")]).sources
    assert not any("have no upos" in note for note in whole.notes)
    sources = bench.open(tasks=[conllu(bench, "A", "B", "_")]).sources
    assert sources.notes[0] == "tags: x.conllu: 2 words have no upos (_), and are left out"


def test_tags_that_look_the_same_are_refused(bench):
    with pytest.raises(ConfigurationError, match="x.conllu:1: label 'A ' looks like 'A' of x.conllu:1"):
        bench.open(tasks=[conllu(bench, "A", "A ")])
