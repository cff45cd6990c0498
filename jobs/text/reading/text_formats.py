"""Records of a file of any known format, or of a data set of the Hub, each with its row.

One reader per format. JSON lines and delimited text are read by the standard library: the planner
looks at the data of every experiment, `datasets` alone takes 1.5 s to import, and its Arrow reader cannot
say which row of a file is at fault. Parquet, folders written by `datasets` and the Hub are read through
`datasets`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from layerscope.jobs.specs.stages import Layout
from layerscope.jobs.text.reading.data_faults import Fault, lacking, listed, twice
from layerscope.jobs.text.reading.delimited import Record, delimited_records
from layerscope.jobs.text.reading.file_kinds import PARQUET, kind_of, regular
from layerscope.jobs.text.reading.lines import has_suffix, numbered_lines

if TYPE_CHECKING:
    import pyarrow
    from datasets import Dataset

SUFFIXES = (".jsonl", ".jsonl.gz", ".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")
LIKE_JSON_LINES = (".json", ".ndjson", ".jsonlines")
USUAL_LAYOUT = Layout()


def records(path: Path, columns: Sequence[str], layout: Layout = USUAL_LAYOUT) -> Iterator[Record]:
    """Rows of a file or folder by their line, or their number where there are no lines; from 1. Notes on the
    file come at the end.

    Only formats that name their columns check at once that `columns` are there; JSON objects may differ.

    Raises:
        ValueError: the file is missing, of no known format, or without one of the columns.
    """
    is_delimited = has_suffix(path, ".csv", ".tsv") and not path.is_dir()
    if layout != USUAL_LAYOUT and not is_delimited:
        raise ValueError(f"{path}: delimiter and quoting are those of .csv and .tsv: leave them out")
    if path.is_dir():
        yield from _folder_records(path, columns)
    elif is_delimited:
        yield from delimited_records(path, columns, layout)
    elif has_suffix(path, ".jsonl"):
        yield from _json_records(path)
    elif path.name.lower().endswith(".parquet"):
        yield from _parquet_records(path, columns)
    else:
        raise ValueError(
            f"{path}: not a known format; known are {', '.join(SUFFIXES)} and folders written by `datasets`"
            f"{_kind_shown(path)}"
        )


def dataset_records(dataset: "Dataset", columns: Sequence[str], place: str) -> Iterator[Record]:
    """Rows of a loaded data set by their number from 1, classes by their names; `place` is for messages.

    The format in which a data set was saved (torch, some of its columns) is that of another reader.
    """
    dataset = dataset.with_format(None)
    _require(columns, dataset.column_names, place)
    values = {column: _named(dataset.features[column], list(dataset[column])) for column in columns}
    for number, row in enumerate(zip(*values.values(), strict=True), start=1):
        fault = next((value for value in row if isinstance(value, Fault)), None)
        yield number, fault or dict(zip(values, row, strict=True))


def _kind_shown(path: Path) -> str:
    if has_suffix(path, *LIKE_JSON_LINES):
        return "; if each line is a JSON object, name it .jsonl"
    if has_suffix(path, ".tab", ".txt"):
        return "; if its columns are separated by tabs, name it .tsv"
    with regular(path).open("rb") as file:
        kind = kind_of(file.read(512))
    return f"; it is {kind}" if kind else ""


def _json_records(path: Path) -> Iterator[Record]:
    for number, line in numbered_lines(path):
        if isinstance(line, Fault):
            yield number, line
        elif line.strip():
            yield number, _json_fields(line)


def _json_fields(line: str) -> Mapping[str, Any] | Fault:
    try:
        fields = json.loads(line, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        return Fault(f"not JSON: {error.msg} at column {error.colno}{_json_hint(line)}")
    except RecursionError:
        return Fault("not JSON that can be read: it is nested too deeply")
    except ValueError as error:  # a key that occurs twice, or a number of too many digits
        return Fault(str(error))
    return (
        fields if isinstance(fields, dict) else Fault(f"JSON of type {type(fields).__name__}, not an object")
    )


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError(f"the key {twice(key for key, _ in pairs)!r} occurs twice in one object: rename one")
    return fields


def _json_hint(line: str) -> str:
    if "\r" in line.rstrip("\r\n"):
        return "; a carriage return (\\r) is in the midst of the line: end lines in a line feed (\\n)"
    if line.strip() in ("{", "["):
        return "; JSON lines have a whole object in each line: `jq -c .` writes them so"
    return ""


def _require(columns: Sequence[str], there: Sequence[str], place: str) -> None:
    faults = [f"{place}{lacking(column, there)}" for column in columns if column not in there]
    if faults:
        raise ValueError(listed(faults))


def _parquet_records(path: Path, columns: Sequence[str]) -> Iterator[Record]:
    import datasets
    import pyarrow
    from pyarrow import parquet

    with regular(path).open("rb") as file:
        head = file.read(512)
    if not head.startswith(PARQUET):
        what = kind_of(head) or ("it does not begin with PAR1" if head else "it is empty")
        raise ValueError(f"{path}: not Parquet: {what}")
    try:
        _refuse_twice(parquet.read_schema(path), path.name)
    except pyarrow.ArrowInvalid as error:
        raise ValueError(f"{path}: not Parquet: {error}") from error
    datasets.disable_progress_bars()
    with TemporaryDirectory() as cache:
        try:
            dataset = datasets.Dataset.from_parquet(str(path), cache_dir=cache, keep_in_memory=True)
        except (datasets.exceptions.DatasetGenerationError, pyarrow.ArrowInvalid) as error:
            raise ValueError(f"{path}: not Parquet: {error}") from error
    yield from dataset_records(dataset, columns, path.name)


def _folder_records(path: Path, columns: Sequence[str]) -> Iterator[Record]:
    splits = path / "dataset_dict.json"
    if splits.is_file():
        names = json.loads(splits.read_text(encoding="utf-8"))["splits"]
        raise ValueError(
            f"{path}: holds the splits {', '.join(names)}: name one, as {path / names[0] if names else path}"
        )
    if not (path / "state.json").is_file():
        inside = ", ".join(sorted(part.name for part in path.iterdir())[:8]) or "no files"
        raise ValueError(
            f"{path}: not a folder written by `datasets` (Dataset.save_to_disk): no state.json in it, "
            f"but {inside}"
        )
    import datasets
    import pyarrow

    for part in sorted(path.glob("*.arrow")):
        with pyarrow.memory_map(str(part)) as file:
            _refuse_twice(pyarrow.ipc.open_stream(file).schema, f"{path.name}/{part.name}")
    yield from dataset_records(datasets.load_from_disk(str(path)), columns, path.name)


def _refuse_twice(fields: "Iterable[pyarrow.Field]", place: str) -> None:
    """Raise ValueError where two columns, or two fields of a nested column, have one name."""
    fields = list(fields)
    if name := twice(field.name for field in fields):
        raise ValueError(f"{place}: two columns, or two fields of one, are called {name!r}: rename one")
    for field in fields:
        _refuse_twice((field.type.field(at) for at in range(field.type.num_fields)), place)


def _named(feature: Any, values: list[Any]) -> list[Any]:
    """Names in place of class numbers, a Fault in place of one beyond them; -1 stands for no label, as in the
    hidden test sets of the Hub."""
    names = getattr(feature, "names", None)
    return values if names is None else [_name(value, names) for value in values]


def _name(value: int | None, names: Sequence[str]) -> str | Fault | None:
    if value is None or value < 0:
        return None
    return (
        names[value] if value < len(names) else Fault(f"class {value}, but the data set names {len(names)}")
    )
