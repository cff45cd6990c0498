"""Names that occur twice, saved formats and odd types, in JSON lines, Parquet and folders of `datasets`."""

import json
from pathlib import Path

import pytest

from layerscope.jobs.text.reading.corpora import read_rows
from layerscope.jobs.text.reading.rows import Row


def refused(path: Path) -> str:
    with pytest.raises(ValueError) as caught:
        read_rows(path)
    return str(caught.value)


def table(**columns):
    import pyarrow

    names, values = zip(*columns.items(), strict=True)
    return pyarrow.table([pyarrow.array(of) for of in values], names=[name.rstrip("_") for name in names])


def parquet_of(folder: Path, content) -> Path:
    from pyarrow import parquet

    path = folder / "a.parquet"
    parquet.write_table(content, path)
    return path


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"text": "a", "label": "b", "text": "c"}', "a.jsonl:2: the key 'text' occurs twice in one object"),
        ('{"text": "a", "label": "b", "more": [{"x": 1, "x": 1}]}', "a.jsonl:2: the key 'x' occurs twice"),
        ('{"text": "a", "label": "b", "x": ' + "[" * 99_999 + "]" * 99_999 + "}", "nested too deeply"),
        ('{"text": "a", "label": ' + "1" * 5000 + "}", "a.jsonl:2: Exceeds the limit"),
        ('{"text": "a", "label": "b",}', "a.jsonl:2: not JSON"),
        (
            '{"text": "a", "label": "b"}\r{"text": "c", "label": "b"}',
            "a carriage return (\\r) is in the midst",
        ),
        ('{"text": "a", "label": NaN}', "a.jsonl:2: no label"),
        ('{"text": "a", "label": "\\ud83d"}', "label with half of a surrogate pair (\\ud83d at character 1)"),
        ('{"text": "a", "label": "\\u0000"}', "label with a character of zero"),
        ('{"text": "a", "label": 1.0}', "label 1.0 of type float, not a string or an integer: write 1"),
    ],
)
def test_a_bad_object_is_refused_with_its_line(tmp_path, line, reason):
    (tmp_path / "a.jsonl").write_text('{"text": "a", "label": "b"}\n' + line + "\n")
    assert reason in refused(tmp_path / "a.jsonl")


def test_numbers_that_only_python_reads_are_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    for value in (10**400, "1_000", "3,5", float("nan"), True):
        path.write_text(json.dumps({"text": "a", "label": value}) + "\n")
        with pytest.raises(ValueError, match="a.jsonl:1: .*number"):
            read_rows(path, predict="number")


def test_columns_of_one_name_are_refused_in_parquet_and_within_a_column(tmp_path):
    import pyarrow

    twice = table(text=["a"], text_=["b"], label=["c"])
    assert "a.parquet: two columns, or two fields of one, are called 'text'" in refused(
        parquet_of(tmp_path, twice)
    )
    inside = pyarrow.StructArray.from_arrays([pyarrow.array(["1"]), pyarrow.array(["2"])], names=["A", "A"])
    nested = pyarrow.table([pyarrow.array(["a"]), pyarrow.array(["b"]), inside], names=["text", "label", "x"])
    assert "are called 'A'" in refused(parquet_of(tmp_path, nested))


def test_columns_of_one_name_are_refused_in_a_folder(tmp_path):
    import datasets
    import pyarrow

    datasets.Dataset.from_dict({"text": ["a"], "label": ["b"]}).save_to_disk(tmp_path / "saved")
    (part,) = (tmp_path / "saved").glob("*.arrow")
    twice = table(text=["a"], text_=["b"], label=["c"])
    with pyarrow.OSFile(str(part), "wb") as sink, pyarrow.ipc.new_stream(sink, twice.schema) as writer:
        writer.write_table(twice)
    assert f"saved/{part.name}: two columns, or two fields of one, are called 'text'" in refused(
        tmp_path / "saved"
    )


@pytest.mark.parametrize("kind", ["numpy", "torch", "pandas", "arrow"])
def test_the_format_in_which_a_data_set_was_saved_changes_nothing(tmp_path, kind):
    import datasets

    data = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]})
    data.with_format(kind, columns=["label"]).save_to_disk(tmp_path / "saved")
    assert read_rows(tmp_path / "saved") == [Row("1", "a", "1"), Row("2", "b", "0")]


def test_a_class_beyond_the_names_of_a_data_set_is_a_fault_of_its_row(tmp_path):
    import datasets

    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])}
    )
    data = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]}, features=features)
    data.save_to_disk(tmp_path / "saved")
    import pyarrow

    (part,) = (tmp_path / "saved").glob("*.arrow")
    beyond = pyarrow.table({"text": ["a", "b"], "label": pyarrow.array([1, 7])}, schema=data.data.schema)
    with pyarrow.OSFile(str(part), "wb") as sink, pyarrow.ipc.new_stream(sink, beyond.schema) as writer:
        writer.write_table(beyond)
    assert "saved:2: class 7, but the data set names 2" in refused(tmp_path / "saved")


def test_columns_of_types_that_are_no_text_are_refused_with_their_row(tmp_path):
    import datetime
    import decimal

    for value in (b"bytes", decimal.Decimal("1.5"), datetime.datetime(2020, 1, 1), ["a"], {"x": 1}, 1.5):
        message = refused(parquet_of(tmp_path, table(text=[value], label=["b"])))
        assert message.startswith("a.parquet:1: text of type ")
        message = refused(parquet_of(tmp_path, table(text=["a"], label=[value])))
        assert message.startswith("a.parquet:1: label ")


def test_a_folder_of_another_kind_is_refused_with_what_is_in_it(tmp_path):
    (tmp_path / "a.parquet").mkdir()
    (tmp_path / "a.parquet" / "part-0.parquet").touch()
    assert "no state.json in it, but part-0.parquet" in refused(tmp_path / "a.parquet")
