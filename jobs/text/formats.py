"""Records of a file of any known format, or of a data set of the Hub, each with its row.

One reader per format. JSON lines and delimited text are read by the standard library: the planner
looks at the data of every experiment, `datasets` alone takes 1.5 s to import, and its Arrow reader cannot
say which row of a file is at fault. Parquet, folders written by `datasets` and the Hub are read through
`datasets`.
"""

import csv
import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, BinaryIO

from jobs.text.faults import Fault, existing, lacking, listed

if TYPE_CHECKING:
    from datasets import Dataset

SUFFIXES = (".jsonl", ".jsonl.gz", ".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")


Record = tuple[int, Mapping[str, Any] | Fault]


def records(path: Path, columns: Sequence[str]) -> Iterator[Record]:
    """Rows of a file or folder by their line, or their number where there are no lines; from 1.

    Only formats that name their columns check at once that `columns` are there; JSON objects may differ.

    Raises:
        ValueError: the file is missing, of no known format, or without one of the columns.
    """
    if path.is_dir():
        yield from _folder_records(path, columns)
        return
    match next((suffix for suffix in SUFFIXES if path.name.endswith(suffix)), None):
        case ".jsonl" | ".jsonl.gz":
            yield from _json_records(path)
        case ".csv" | ".csv.gz":
            yield from _delimited_records(path, columns, delimiter=",", quoting=csv.QUOTE_MINIMAL)
        case ".tsv" | ".tsv.gz":
            yield from _delimited_records(path, columns, delimiter="\t", quoting=csv.QUOTE_NONE)
        case ".parquet":
            yield from _parquet_records(path, columns)
        case _:
            existing(path)
            raise ValueError(
                f"{path}: not a known format; known are {', '.join(SUFFIXES)} "
                "and folders written by `datasets`"
            )


def dataset_records(dataset: "Dataset", columns: Sequence[str], place: str) -> Iterator[Record]:
    """Rows of a loaded data set by their number from 1, classes by their names; `place` is for messages."""
    _require(columns, dataset.column_names, place)
    values = {column: _named(dataset.features[column], list(dataset[column])) for column in columns}
    for number, row in enumerate(zip(*values.values(), strict=True), start=1):
        yield number, dict(zip(values, row, strict=True))


def numbered_lines(path: Path) -> Iterator[tuple[int, str | Fault]]:
    """Lines with their numbers from 1 and their line ends, a byte order mark taken off."""
    opened: Any = gzip.open if path.suffix == ".gz" else open
    file: BinaryIO
    with opened(existing(path), "rb") as file:
        number = 0
        try:
            for number, line in enumerate(file, start=1):
                yield number, _decoded(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            yield number + 1, Fault(f"damaged gzip: {error}")


def _decoded(line: bytes) -> str | Fault:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        return Fault(f"not UTF-8: byte 0x{line[error.start]:02x} at byte {error.start + 1} of the line")


def _json_records(path: Path) -> Iterator[Record]:
    for number, line in numbered_lines(path):
        if isinstance(line, Fault):
            yield number, line
        elif line.strip():
            yield number, _json_fields(line)


def _json_fields(line: str) -> Mapping[str, Any] | Fault:
    try:
        fields = json.loads(line)
    except json.JSONDecodeError as error:
        return Fault(f"not JSON: {error.msg} at column {error.colno}")
    return (
        fields if isinstance(fields, dict) else Fault(f"JSON of type {type(fields).__name__}, not an object")
    )


def _delimited_records(
    path: Path, columns: Sequence[str], *, delimiter: str, quoting: int
) -> Iterator[Record]:
    broken: list[Record] = []

    def sound_lines() -> Iterator[str]:
        for number, line in numbered_lines(path):
            if isinstance(line, Fault):
                broken.append((number, line))
            yield "" if isinstance(line, Fault) else line

    reader = csv.reader(sound_lines(), delimiter=delimiter, quoting=quoting, strict=True)
    header: list[str] | None = None
    number = 1
    try:
        for values in reader:
            if header is None:
                if broken:
                    break
                header = values
                _require(columns, header, f"{path.name}:{number}")
            elif values:
                yield number, _delimited_fields(header, values)
            number = reader.line_num + 1
    except csv.Error as error:
        broken.append((number, Fault(f"not CSV: {error}")))
    yield from broken


def _delimited_fields(header: Sequence[str], values: Sequence[str]) -> Mapping[str, Any] | Fault:
    if len(values) != len(header):
        return Fault(f"fields: {len(values)}, but the header has {len(header)}")
    return dict(zip(header, values, strict=True))


def _require(columns: Sequence[str], there: Sequence[str], place: str) -> None:
    faults = [f"{place}{lacking(column, there)}" for column in columns if column not in there]
    if faults:
        raise ValueError(listed(faults))


def _parquet_records(path: Path, columns: Sequence[str]) -> Iterator[Record]:
    import datasets
    import pyarrow

    datasets.disable_progress_bars()
    with TemporaryDirectory() as cache:
        try:
            dataset = datasets.Dataset.from_parquet(str(existing(path)), cache_dir=cache, keep_in_memory=True)
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
        raise ValueError(
            f"{path}: not a folder written by `datasets` (Dataset.save_to_disk): no state.json in it"
        )
    import datasets

    yield from dataset_records(datasets.load_from_disk(str(path)), columns, path.name)


def _named(feature: Any, values: list[Any]) -> list[Any]:
    """Names in place of class numbers; -1 stands for no label, as in the hidden test sets of the Hub."""
    names = getattr(feature, "names", None)
    return values if names is None else [None if v is None or v < 0 else names[v] for v in values]
