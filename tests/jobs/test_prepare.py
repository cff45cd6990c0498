import json
import os
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE

from layerscope.jobs import prepare
from layerscope.jobs.artifacts.token_sample import SAMPLE, read_sample
from layerscope.jobs.artifacts.tokenised import read_labels, read_prepared_target, read_split, read_texts
from layerscope.jobs.context import StageContext
from layerscope.jobs.specs.stages import Columns, FilesData, HubData, PrepareSpec, Sample, SampleData
from layerscope.jobs.text.reading.corpora import digest
from layerscope.jobs.text.reading.rows import Row
from layerscope.jobs.text.tokenising.tokenizer import load_tokenizer, tokenizer_digest

SHARED = Path(os.environ.get("LAYERSCOPE_SHARED", Path(__file__).parents[2] / "../shared")).resolve()
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{number}" for number in range(10, 60))]


@pytest.fixture
def tokenizer(tmp_path) -> Path:
    folder = tmp_path / "encoder"
    folder.mkdir()
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}', encoding="utf-8")
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    return folder


def write_rows(path: Path, num_rows: int, num_words: int = 5) -> Path:
    words = " ".join(f"w{10 + position % 50}" for position in range(num_words))
    rows = [{"text": f"w{10 + row % 50} {words}", "label": ["no", "yes"][row % 2]} for row in range(num_rows)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def inputs(tmp_path, tokenizer) -> dict[str, Path]:
    return {
        "train": write_rows(tmp_path / "train.jsonl", 40),
        "test": write_rows(tmp_path / "test.jsonl", 10),
        "tokenizer": tokenizer,
    }


def spec_of(inputs, **fields) -> PrepareSpec:
    files = {role: digest(path) for role, path in inputs.items() if role != "tokenizer"}
    fields = {"data": FilesData(**files) if files else None, "truncation": "head", "max_length": 8} | fields
    return PrepareSpec(tokenizer=tokenizer_digest(inputs["tokenizer"]), **fields)


def run(spec, inputs, out: Path):
    from datasets import load_from_disk

    out.mkdir()
    metrics = prepare.run(spec, StageContext(inputs=inputs, out=out, scratch=out))
    return metrics, load_from_disk(str(out))


def test_a_task_becomes_split_token_ids_with_labels_in_order(inputs, tmp_path):
    metrics, data = run(spec_of(inputs), inputs, tmp_path / "out")
    assert {split: len(rows) for split, rows in data.items()} == {"train": 36, "validation": 4, "test": 10}
    assert data["test"].column_names == ["id", "input_ids", "label"]
    assert data["test"][1] == {"id": "2", "input_ids": [2, 6, 5, 6, 7, 8, 9, 3], "label": 1}
    assert json.loads((tmp_path / "out" / "labels.json").read_text()) == ["no", "yes"]
    assert metrics["train/num_texts"] == 36
    assert metrics["test/tokens"] == 80
    assert metrics["test/num_cut"] == metrics["validation/tokens_lost"] == 0


def test_a_text_of_no_tokens_is_refused(inputs, tmp_path):
    Tokenizer(BPE({"a": 0, "b": 1}, [])).save(str(inputs["tokenizer"] / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast"}
    (inputs["tokenizer"] / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    rows = [{"text": "a b", "label": ["no", "yes"][row % 2]} for row in range(9)]
    rows.append({"text": "xyz", "label": "no"})
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    inputs["test"].write_text(lines, encoding="utf-8")
    inputs["train"].write_text(lines.replace("xyz", "b a") * 4, encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"^test:10: the tokenizer gives no token for this text, and adds no special "
    ):
        run(spec_of(inputs), inputs, tmp_path / "out")


def test_the_validation_rows_are_recorded_and_taken_out_of_training(inputs, tmp_path):
    _, data = run(spec_of(inputs), inputs, tmp_path / "out")
    split = json.loads((tmp_path / "out" / "split.json").read_text())
    assert split == {"drawn_from_train": True, "validation": data["validation"]["id"][:]}
    assert sorted([*data["train"]["id"], *data["validation"]["id"]], key=int) == [
        str(n) for n in range(1, 41)
    ]


def test_a_given_validation_file_is_used(inputs, tmp_path):
    inputs["validation"] = write_rows(tmp_path / "dev.jsonl", 6)
    _, data = run(spec_of(inputs), inputs, tmp_path / "out")
    assert {split: len(rows) for split, rows in data.items()} == {"train": 40, "validation": 6, "test": 10}
    assert json.loads((tmp_path / "out" / "split.json").read_text())["drawn_from_train"] is False


def test_a_sample_is_drawn_before_the_validation_split_and_keeps_the_rows_ids(inputs, tmp_path):
    spec = spec_of(inputs, sample=Sample(train=20, test=4))
    metrics, data = run(spec, inputs, tmp_path / "out")
    assert {split: len(rows) for split, rows in data.items()} == {"train": 18, "validation": 2, "test": 4}
    assert metrics["train/num_texts"] == 18
    assert sorted(data["test"]["label"]) == [0, 0, 1, 1]
    assert set(data["test"]["id"]) < {str(row) for row in range(1, 11)}


def test_what_was_cut_is_counted(inputs, tmp_path):
    spec = spec_of(inputs, truncation="head+tail", max_length=6)
    metrics, data = run(spec, inputs, tmp_path / "out")
    assert metrics["test/num_cut"] == 10
    assert metrics["test/tokens_lost"] == 20
    assert data["test"][1]["input_ids"] == [2, 6, 7, 8, 9, 3]


def test_whole_texts_without_a_limit_are_left_whole(inputs, tmp_path):
    write_rows(inputs["train"], 40, num_words=900)
    spec = spec_of(inputs, truncation="whole", max_length=None)
    _, data = run(spec, inputs, tmp_path / "out")
    assert {len(ids) for ids in data["train"]["input_ids"]} == {903}


def test_a_broken_promise_that_no_text_is_too_long_is_refused(inputs, tmp_path):
    spec = spec_of(inputs, truncation="whole", max_length=7)
    with pytest.raises(
        ValueError, match="train:.*: 8 tokens, but the plan says that no text has more than 7"
    ):
        run(spec, inputs, tmp_path / "out")


@pytest.mark.parametrize("role", ["train", "test", "tokenizer"])
def test_a_file_that_changed_since_the_plan_is_refused(role, inputs, tmp_path):
    spec = spec_of(inputs)
    path = inputs[role] / "vocab.txt" if role == "tokenizer" else inputs[role]
    path.write_text(path.read_text() + "\n")
    with pytest.raises(ValueError, match=f"{inputs[role]} has changed since it was planned: its digest is"):
        run(spec, inputs, tmp_path / "out")


def test_a_bad_row_is_refused_by_the_name_of_its_file(inputs, tmp_path):
    inputs["test"].write_text('{"text": "w10", "label": "maybe"}\n')
    with pytest.raises(ValueError, match="test.jsonl:1: label 'maybe' does not occur in train.jsonl"):
        run(spec_of(inputs), inputs, tmp_path / "out")


def test_the_same_spec_gives_the_same_bytes(inputs, tmp_path):
    for out in ("one", "other"):
        run(spec_of(inputs), inputs, tmp_path / out)
    assert digest(tmp_path / "one") == digest(tmp_path / "other")


def test_of_the_raw_text_of_a_cut_view_a_sample_is_copied_and_no_more(inputs, tmp_path):
    run(spec_of(inputs), inputs, tmp_path / "out")
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file() and path.name != SAMPLE]
    assert b"w10" not in b"".join(path.read_bytes() for path in files)
    tokenizer = load_tokenizer(inputs["tokenizer"])
    for texts, input_ids, type_ids in read_sample(tmp_path / "out"):
        assert (tokenizer.encode(*texts).ids, type_ids) == (input_ids, None)


def test_sample_documents_are_prepared_by_their_generator(tokenizer, tmp_path):
    inputs = {"tokenizer": tokenizer}
    data = SampleData(target="topic", num_train=40, num_test=20, seed=5)
    metrics, prepared = run(spec_of(inputs, data=data, max_length=16), inputs, tmp_path / "out")
    assert metrics["train/num_texts"] + metrics["validation/num_texts"] == 40
    assert metrics["test/num_texts"] == 20
    assert len(set(prepared["train"]["id"])) == len(prepared["train"])


def test_hub_data_are_read_at_their_commit(tokenizer, tmp_path, monkeypatch):
    asked = []

    def fake(name, **options):
        asked.append((name, options["revision"], options["split"]))
        return [Row(str(number), "w10 w11", ["a", "b"][number % 2]) for number in range(20)]

    monkeypatch.setattr(prepare, "read_hub", fake)
    inputs = {"tokenizer": tokenizer}
    data = HubData(name="glue", subset="cola", revision="0" * 40, test="validation")
    run(spec_of(inputs, data=data), inputs, tmp_path / "out")
    assert asked == [("glue", "0" * 40, "train"), ("glue", "0" * 40, "validation")]


def test_trec_is_prepared_with_a_real_tokenizer(tmp_path):
    folder = SHARED / "models" / "tokenizer-bert-base-uncased"
    if not folder.is_dir():
        pytest.skip(f"no shared data in {SHARED}")
    trec = SHARED / "data" / "trec"
    inputs = {"train": trec / "train.jsonl", "test": trec / "test.jsonl", "tokenizer": folder}
    metrics, data = run(spec_of(inputs, truncation="whole", max_length=128), inputs, tmp_path / "out")
    assert {split: len(rows) for split, rows in data.items()} == {
        "train": 4907,
        "validation": 545,
        "test": 500,
    }
    assert json.loads((tmp_path / "out" / "labels.json").read_text()) == [
        "ABBR",
        "DESC",
        "ENTY",
        "HUM",
        "LOC",
        "NUM",
    ]
    assert metrics["train/num_cut"] == 0


@pytest.mark.parametrize("predict", ["label", "number"])
def test_a_corpus_is_its_training_texts_without_labels_or_a_test_split(inputs, tmp_path, predict):
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps({"text": f"w{row} W11!"}) + "\n" for row in range(10, 20)))
    inputs = {"train": path, "tokenizer": inputs["tokenizer"]}
    spec = spec_of(inputs, truncation="whole", max_length=None, text_only=True, predict=predict)
    metrics, data = run(spec, inputs, tmp_path / "out")
    assert {split: len(rows) for split, rows in data.items()} == {"train": 9, "validation": 1}
    assert set(data["train"]["label"]) == {-1}
    assert json.loads((tmp_path / "out" / "labels.json").read_text()) == []
    ids, texts = read_texts(tmp_path / "out", "train")
    assert texts == [[f"w{9 + int(row)} W11!"] for row in ids]
    assert metrics["train/num_texts"] == 9


def test_a_task_as_a_corpus_has_the_training_texts_of_the_task(inputs, tmp_path):
    only = {role: path for role, path in inputs.items() if role != "test"}
    fields = {"truncation": "whole", "max_length": None}
    _, task = run(spec_of(inputs, **fields), inputs, tmp_path / "task")
    _, corpus = run(spec_of(only, text_only=True, **fields), only, tmp_path / "corpus")
    texts = [
        {tuple(text) for split in ("train", "validation") for text in of[split]["texts"]}
        for of in (task, corpus)
    ]
    assert texts[0] == texts[1]
    sample = SampleData(target="topic", num_train=20, num_test=5)
    spec = PrepareSpec(data=sample, tokenizer=tokenizer_digest(inputs["tokenizer"]), text_only=True, **fields)
    _, generated = run(spec, {"tokenizer": inputs["tokenizer"]}, tmp_path / "sample")
    assert {split: len(rows) for split, rows in generated.items()} == {"train": 18, "validation": 2}


def write_pairs(path: Path, num_rows: int, *, first: int = 3, second: int = 5) -> Path:
    rows = [
        {
            "a": " ".join(["w10"] * first),
            "b": " ".join(f"w{10 + row}" for _ in range(second)),
            "label": "ny"[row % 2],
        }
        for row in range(num_rows)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def pairs(tmp_path, tokenizer) -> dict[str, Path]:
    return {
        "train": write_pairs(tmp_path / "train.jsonl", 40),
        "test": write_pairs(tmp_path / "test.jsonl", 10),
        "tokenizer": tokenizer,
    }


PAIRED = Columns(text="a", text_pair="b")


def test_pairs_have_token_types_and_are_cut_together(pairs, tmp_path):
    metrics, data = run(spec_of(pairs, columns=PAIRED, max_length=10), pairs, tmp_path / "out")
    assert data["test"].column_names == ["id", "input_ids", "label", "type_ids"]
    split = read_split(tmp_path / "out", "test")
    assert split.texts[1] == [2, 5, 5, 5, 3, 6, 6, 6, 6, 3]
    assert split.type_ids[1] == [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
    assert split.window_lengths is None
    assert (metrics["test/num_cut"], metrics["test/tokens_lost"], metrics["test/tokens"]) == (10, 10, 100)


def test_pairs_apart_are_texts_of_their_own_in_the_split_of_their_pair(pairs, tmp_path):
    spec = spec_of(pairs, columns=PAIRED, truncation="whole", max_length=None)
    _, joined = run(spec, pairs, tmp_path / "joined")
    metrics, data = run(spec.model_copy(update={"pairs": "apart"}), pairs, tmp_path / "apart")
    assert metrics["train/num_texts"] == 2 * len(joined["train"])
    assert data["validation"]["id"][:] == [
        f"{row}{end}" for end in ("", "/pair") for row in joined["validation"]["id"]
    ]
    assert data["test"][1]["input_ids"] == [2, 5, 5, 5, 3]
    assert data["test"][11]["input_ids"] == [2, 6, 6, 6, 6, 6, 3]
    splits = [json.loads((tmp_path / name / "split.json").read_text()) for name in ("joined", "apart")]
    assert splits[0] == splits[1]


def test_windows_are_stored_one_after_the_other_with_their_lengths(inputs, tmp_path):
    spec = spec_of(inputs, truncation="windows", max_length=5, window_overlap=1, max_windows=2)
    metrics, data = run(spec, inputs, tmp_path / "out")
    assert data["test"].column_names == ["id", "input_ids", "label", "window_lengths"]
    split = read_split(tmp_path / "out", "test")
    # 6 words: 0 1 2, 2 3 4, and the last in none.
    assert split.texts[1] == [2, 6, 5, 6, 3, 2, 6, 7, 8, 3]
    assert split.window_lengths[1] == [5, 5]
    assert (metrics["test/num_cut"], metrics["test/tokens_lost"], metrics["test/tokens"]) == (10, 10, 100)
    chosen = split.rows([1, 0])
    assert (chosen.ids, chosen.window_lengths, chosen.type_ids) == (["2", "1"], [[5, 5], [5, 5]], None)


def test_a_first_text_that_fills_the_windows_is_refused_by_the_stage_too(pairs, tmp_path):
    spec = spec_of(pairs, columns=PAIRED, truncation="windows", max_length=9, window_overlap=0, max_windows=2)
    with pytest.raises(ValueError, match="the first text of a pair has 3 tokens"):
        run(spec, pairs, tmp_path / "out")


def write_lines(path: Path, *rows: dict) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_numbers_stay_numbers(inputs, tmp_path):
    rows = [{"text": f"w1{number % 10} w20", "label": number / 4} for number in range(30)]
    inputs |= {role: write_lines(tmp_path / f"{role}.jsonl", *rows) for role in ("train", "test")}
    run(spec_of(inputs, predict="number"), inputs, tmp_path / "out")
    split = read_split(tmp_path / "out", "test")
    assert list(split.labels) == [number / 4 for number in range(30)]
    assert read_labels(tmp_path / "out") == []
    assert read_prepared_target(tmp_path / "out") == "number"
    assert len(read_split(tmp_path / "out", "validation").ids) == 3


def test_the_positive_label_is_the_last(inputs, tmp_path):
    run(spec_of(inputs, positive="no"), inputs, tmp_path / "out")
    assert read_labels(tmp_path / "out") == ["yes", "no"]
    assert read_split(tmp_path / "out", "test").labels[:2] == [1, 0]
    with pytest.raises(ValueError, match="positive: there is no label 'maybe' among no, yes"):
        run(spec_of(inputs, positive="maybe"), inputs, tmp_path / "other")


@pytest.mark.parametrize(("truncation", "limit"), [("whole", 16), ("head", 8), ("middle", 8)])
def test_a_text_with_each_of_its_choices_is_a_sequence(inputs, tmp_path, truncation, limit):
    rows = [
        {
            "text": "w10 w11 w12 w13",
            "choices": {"A": f"w2{number % 10}", "B": "w30 w31"},
            "label": "AB"[number % 2],
        }
        for number in range(20)
    ]
    inputs |= {role: write_lines(tmp_path / f"{role}.jsonl", *rows) for role in ("train", "test")}
    spec = spec_of(inputs, columns=Columns(choices="choices"), truncation=truncation, max_length=limit)
    run(spec, inputs, tmp_path / "out")
    split = read_split(tmp_path / "out", "test")
    assert read_labels(tmp_path / "out") == ["A", "B"]
    assert read_prepared_target(tmp_path / "out") == "choice"
    assert list(split.labels[:3]) == [0, 1, 0]
    first, second = split.window_lengths[1]
    ids, types = split.texts[1], split.type_ids[1]
    # [CLS] w10 w11 w12 w13 [SEP] w21 [SEP], and the same with w30 w31
    whole = [2, 5, 6, 7, 8, 3, 16, 3, 2, 5, 6, 7, 8, 3, 25, 26, 3]
    assert (ids[:8], types[:8]) == (whole[:8], [0] * 6 + [1, 1])
    assert (first, second) == ((8, 9) if truncation == "whole" else (8, 8))
    kept = {"whole": [5, 6, 7, 8], "head": [5, 6, 7], "middle": [5, 6, 8]}[truncation]
    assert ids[first:] == [2, *kept, 3, 25, 26, 3]
    assert len(ids) == first + second


def test_copies_of_a_text_are_on_one_side_of_the_validation_split(inputs, tmp_path):
    lines = inputs["train"].read_text(encoding="utf-8").splitlines(keepends=True)
    inputs["train"].write_text("".join(lines[:20] * 2), encoding="utf-8")
    run(spec_of(inputs), inputs, tmp_path / "out")
    validation = set(json.loads((tmp_path / "out" / "split.json").read_text())["validation"])
    assert len(validation) == 4
    assert {str((int(row) + 19) % 40 + 1) for row in validation} == validation
