import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from layerscope.jobs.specs.stages import Columns
from layerscope.jobs.text.reading.corpora import digest, read_hub, read_rows
from layerscope.jobs.text.reading.row_targets import check_labels
from layerscope.jobs.text.reading.rows import Row

SHARED = Path(os.environ.get("LAYERSCOPE_SHARED", Path(__file__).parents[4] / "../shared")).resolve()
ROWS = [("a cat", "pet"), ('an "old" oak,\nand more', "tree"), ("été", "pet")]
needs_shared_data = pytest.mark.skipif(not (SHARED / "data").is_dir(), reason=f"no shared data in {SHARED}")


def jsonl(*objects) -> bytes:
    return "".join(json.dumps(one) + "\n" for one in objects).encode()


def refused(path: Path, content: bytes, **columns) -> str:
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        read_rows(path, Columns(**columns))
    return str(caught.value)


def write_in(kind: str, folder: Path) -> Path:
    import datasets

    columns = {"text": [text for text, _ in ROWS], "label": [label for _, label in ROWS]}
    path = folder / f"train{kind}"
    lines = jsonl(*({"text": text, "label": label} for text, label in ROWS))
    match kind:
        case ".jsonl":
            path.write_bytes(lines)
        case ".jsonl.gz":
            path.write_bytes(gzip.compress(lines))
        case ".csv":
            path.write_text(
                'label,text\npet,a cat\ntree,"an ""old"" oak,\nand more"\npet,été\n', encoding="utf-8"
            )
        case ".parquet":
            datasets.Dataset.from_dict(columns).to_parquet(str(path))
        case "/":
            datasets.Dataset.from_dict(columns).save_to_disk(path)
    return path


@pytest.mark.parametrize("kind", [".jsonl", ".jsonl.gz", ".csv", ".parquet", "/"])
def test_every_format_gives_the_same_texts_and_labels(kind, tmp_path):
    rows = read_rows(write_in(kind, tmp_path))
    assert [(row.text, row.label) for row in rows] == ROWS
    assert [row.id for row in rows] == (["2", "3", "5"] if kind == ".csv" else ["1", "2", "3"])


def test_quotes_mean_nothing_in_tsv(tmp_path):
    path = tmp_path / "train.tsv"
    path.write_text('label\ttext\n1\tsay "yes\n0\t"no" they say\n', encoding="utf-8")
    assert [row.text for row in read_rows(path)] == ['say "yes', '"no" they say']


def test_integer_labels_become_strings_and_class_numbers_names(tmp_path):
    import datasets

    path = tmp_path / "train.jsonl"
    path.write_bytes(jsonl({"text": "one", "label": 3}))
    assert read_rows(path) == [Row("1", "one", "3")]
    named = datasets.Dataset.from_dict(
        {"text": ["one", "two"], "label": [1, 0]},
        features=datasets.Features(
            {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
        ),
    )
    named.save_to_disk(tmp_path / "named")
    assert [row.label for row in read_rows(tmp_path / "named")] == ["pos", "neg"]


def test_texts_are_read_without_labels_and_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "raw.csv"
    path.write_bytes(b"\xef\xbb\xbftext\nhello\n")
    assert read_rows(path, has_label=False) == [Row("2", "hello", None)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "b"}\n', "no label: there is no column 'label' among text"),
        (b'{"text": "b", "lable": "x"}\n', "did you mean 'lable'?"),
        (b'{"text": "b", "label": null}\n', "train.jsonl:2: no label"),
        (b'{"text": "b", "label": " "}\n', "train.jsonl:2: no label"),
        (b'{"text": " ", "label": "x"}\n', "train.jsonl:2: empty text"),
        (b'{"text": 7, "label": "x"}\n', "text of type int, not a string"),
        (b'{"text": "b", "label": 0.5}\n', "label 0.5 of type float, not a string or an integer"),
        (b'{"text": "b", "label": true}\n', "label True of type bool"),
        (b'{"text": "\\ud83d", "label": "x"}\n', "half of a surrogate pair"),
        (
            b'{"text": "\xe9t\xe9", "label": "x"}\n',
            "train.jsonl:2: not UTF-8: byte 0xe9 at byte 11 of the line",
        ),
        (b'{"text": "b", \n', "train.jsonl:2: not JSON:"),
        (b"[1]\n", "train.jsonl:2: JSON of type list, not an object"),
    ],
)
def test_a_bad_row_is_refused_with_its_file_and_row(line, reason, tmp_path):
    message = refused(tmp_path / "train.jsonl", jsonl({"text": "a", "label": "x"}) + line)
    assert "train.jsonl:2: " in message
    assert reason in message


def test_ten_faults_are_listed_and_the_others_counted(tmp_path):
    message = refused(tmp_path / "train.jsonl", jsonl(*({"text": ""} for _ in range(13))))
    assert [f"train.jsonl:{row}: " in message for row in (1, 10, 11)] == [True, True, False]
    assert message.endswith("... and 3 more")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (
            "a.csv",
            b"texts,label\nx,y\n",
            "a.csv:1: there is no column 'text' among texts, label; did you mean",
        ),
        ("a.csv", b"text,label\nx,y,z\n", "a.csv:2: fields: 3, but the header has 2"),
        ("a.csv", b'text,label\nx,y\n"open,y\n', "a.csv:3: not CSV: unexpected end of data"),
        (
            "a.csv",
            b"text,label\nx,y\n\xff,y\nz,\n",
            "a.csv:3: not UTF-8: byte 0xff at byte 1 of the line",
        ),
        ("a.csv", "text,label\nx,y\n".encode("utf-16"), "a.csv: the text is in UTF-16, not UTF-8: `iconv -f"),
        ("a.csv", b"text,label\n", "a.csv: no rows"),
        ("a.jsonl", b"", "a.jsonl: no rows"),
        ("a.jsonl.gz", b"plain", "a.jsonl.gz: not compressed with gzip, though its name ends in .gz"),
        ("a.jsonl.gz", gzip.compress(b'{"text": "a", "label": "b"}\n', mtime=0)[:-9], "damaged gzip"),
        ("a.parquet", b"plain", "a.parquet: not Parquet: "),
        ("a.xlsx", b"", "a.xlsx: not a known format; known are .jsonl, "),
    ],
)
def test_a_bad_file_is_refused(name, content, reason, tmp_path):
    assert reason in refused(tmp_path / name, content)


def test_a_missing_file_is_refused_with_what_is_beside_it(tmp_path):
    (tmp_path / "trian.jsonl").touch()
    with pytest.raises(ValueError, match=r"train.jsonl: no such file; in its folder are trian.jsonl"):
        read_rows(tmp_path / "train.jsonl")
    with pytest.raises(ValueError, match="no such folder either"):
        read_rows(tmp_path / "data" / "train.jsonl")


def test_a_folder_that_is_not_one_split_is_refused(tmp_path):
    import datasets

    with pytest.raises(ValueError, match="not a folder written by `datasets`"):
        read_rows(tmp_path)
    one = datasets.Dataset.from_dict({"words": ["x"], "label": ["y"]})
    datasets.DatasetDict({"train": one, "test": one}).save_to_disk(tmp_path / "both")
    with pytest.raises(ValueError, match="holds the splits train, test: name one, as .*both/train"):
        read_rows(tmp_path / "both")
    with pytest.raises(ValueError, match="there is no column 'text' among words, label"):
        read_rows(tmp_path / "both" / "train")


def test_the_hub_out_of_reach_is_refused_with_what_was_tried(monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        ValueError, match="(?s)nobody/nothing, split train, at 0123.*tried: the cache .*switched off"
    ):
        read_hub("nobody/nothing", subset=None, revision="0123", split="train")


def test_the_hub_s_rows_come_by_class_name(monkeypatch):
    import datasets

    asked = {}

    def fake(name, subset, **options):
        asked.update(options, name=name, subset=subset)
        features = datasets.Features(
            {"sentence": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])}
        )
        return datasets.Dataset.from_dict({"sentence": ["a", "b"], "label": [1, 0]}, features=features)

    monkeypatch.setattr(datasets, "load_dataset", fake)
    columns = Columns(text="sentence")
    rows = read_hub("glue", subset="cola", revision="c0ffee", split="train", columns=columns)
    assert rows == [Row("1", "a", "yes"), Row("2", "b", "no")]
    assert asked == {"name": "glue", "subset": "cola", "revision": "c0ffee", "split": "train"}


def rows_of(*labels: str) -> list[Row]:
    return [Row(str(number), "text", label) for number, label in enumerate(labels, start=1)]


def test_labels_are_those_of_train_in_order():
    splits = {"train": rows_of("b", "a", "b", "a"), "test": rows_of("a")}
    assert check_labels(splits) == ("a", "b")


def test_a_label_unknown_in_train_is_refused_with_its_row_and_the_known_labels():
    splits = {"train": rows_of("b", "a", "b", "a"), "test": rows_of("a", "c")}
    with pytest.raises(
        ValueError, match=r"dev.csv:2: label 'c' does not occur in train\n  labels of train: a, b"
    ):
        check_labels(splits, names={"test": "dev.csv"})


def test_a_single_row_of_a_label_is_refused_only_where_validation_is_drawn():
    splits = {"train": rows_of("b", "a", "b"), "test": rows_of("a")}
    with pytest.raises(ValueError, match="train:2: the only row with label 'a'"):
        check_labels(splits)
    assert check_labels(splits | {"validation": rows_of("b")}) == ("a", "b")


def test_a_single_label_is_refused():
    with pytest.raises(ValueError, match=r"train has only one label \(a\)"):
        check_labels({"train": rows_of("a", "a"), "test": []})


def test_a_digest_follows_bytes_and_the_names_in_a_folder(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    for folder, name in ((one, "a"), (other, "b")):
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / name).write_bytes(b"x")
    assert digest(one / "deep" / "a") == digest(other / "deep" / "b")
    assert digest(one) != digest(other)
    (other / "deep" / "b").rename(other / "deep" / "a")
    assert digest(one) == digest(other)
    (other / "deep" / "a").write_bytes(b"y")
    assert digest(one) != digest(other)


@needs_shared_data
@pytest.mark.parametrize(
    ("task", "suffix", "num_train", "num_labels"),
    [("trec", "", 5452, 6), ("imdb", ".gz", 5000, 2), ("cola", "", 8551, 2), ("dbpedia14", "", 11200, 14)],
)
def test_real_data_sets_are_read_whole(task, suffix, num_train, num_labels):
    folder = SHARED / "data" / task
    splits = {split: read_rows(folder / f"{split}.jsonl{suffix}") for split in ("train", "test")}
    assert len(splits["train"]) == num_train
    assert len(check_labels(splits)) == num_labels


def test_reading_text_files_loads_no_heavy_library(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(jsonl({"text": "a", "label": "b"}))
    code = (
        "import sys; from pathlib import Path;"
        "from layerscope.jobs.text.reading import corpora;"
        "from layerscope.jobs.text.tokenising import tokenizer, truncation;"
        f"corpora.read_rows(Path({str(tmp_path / 'a.jsonl')!r}));"
        "print({'datasets', 'transformers', 'torch', 'pyarrow', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_several_columns_are_one_text(tmp_path):
    path = tmp_path / "train.jsonl"
    columns = Columns(text=("title", "body"), text_pair=("question", "answer"))
    row = {"title": "A", "body": "b c", "question": "Why?", "answer": "So.", "label": "x"}
    path.write_bytes(jsonl(row))
    assert read_rows(path, columns) == [Row("1", "A b c", "x", "Why? So.")]
    del row["body"]
    path.write_bytes(jsonl(row))
    with pytest.raises(ValueError, match="train.jsonl:1: no text: there is no column 'body' among title"):
        read_rows(path, columns)
    path.write_bytes(jsonl(row | {"body": "b", "answer": " "}))
    with pytest.raises(ValueError, match="train.jsonl:1: empty second text"):
        read_rows(path, columns)
