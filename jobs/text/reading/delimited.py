"""Rows of delimited text (CSV, TSV): what is in each column, and what is odd about the file."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from layerscope.jobs.specs.stages import Layout
from layerscope.jobs.text.reading.data_faults import Fault, Note, lacking, listed, twice
from layerscope.jobs.text.reading.lines import MAX_LINE, has_suffix, numbered_lines

DELIMITERS = (",", ";", "\t", "|")
QUOTE = '"'

Record = tuple[int, Mapping[str, Any] | Fault | Note]


def layout_of(path: Path, written: Layout) -> Layout:
    """Format of a file: as configured, else by its suffix."""
    is_tsv = has_suffix(path, ".tsv")
    return Layout(
        delimiter=written.delimiter or ("\t" if is_tsv else ","),
        quoting=written.quoting or ("none" if is_tsv else "standard"),
    )


def delimited_records(path: Path, columns: Sequence[str], written: Layout) -> Iterator[Record]:
    """Rows by the line on which they begin, a Fault in place of each bad one, and Notes on the whole.

    Raises:
        ValueError: the header lacks one of the columns, or has one twice; or the file is no text.
    """
    layout = layout_of(path, written)
    source = _Source(path)
    reader = csv.reader(
        source.sound_lines(),
        delimiter=layout.delimiter or ",",
        quoting=csv.QUOTE_MINIMAL if layout.quoting == "standard" else csv.QUOTE_NONE,
        strict=True,
    )
    header: list[str] | None = None
    number, oddities = 1, _Oddities(layout, written)
    try:
        while (values := _next_row(reader)) is not None:
            if header is None:
                if source.broken:
                    break
                if values:
                    header = values
                    _check_header(header, columns, layout, f"{path.name}:{number}")
            elif values:
                fields = _fields(header, values, layout)
                yield number, fields
                if not isinstance(fields, Fault):
                    oddities.look_at(number, [fields[name] for name in columns], source.lines, len(header))
            number = reader.line_num + 1
            source.lines.clear()
    except csv.Error as error:
        reason = _in_words(error, layout)
        if header is None:
            reason += _hint_of_layout("".join(source.lines).strip("\r\n"), columns, layout)
        source.broken.append((number, Fault(reason)))
    yield from source.broken
    yield from ((0, Note(f"{path.name}{reason}")) for reason in oddities.reasons())


@dataclass
class _Source:
    """The lines that the csv module reads, those of the row that is being read, and those that are broken."""

    path: Path
    lines: list[str] = field(default_factory=list)
    broken: list[Record] = field(default_factory=list)

    def sound_lines(self) -> Iterator[str]:
        for number, line in numbered_lines(self.path):
            if isinstance(line, Fault):
                self.broken.append((number, line))
                line = ""
            self.lines.append(line)
            yield line


@dataclass
class _Oddities:
    """Rows that suggest another format; empty if the task sets the format."""

    layout: Layout
    written: Layout
    quoted: list[int] = field(default_factory=list)
    swallowed: list[int] = field(default_factory=list)

    def look_at(self, number: int, read: Sequence[str], lines: Sequence[str], num_columns: int) -> None:
        """At a row: the fields that are read of it, and its lines in the file."""
        if self.written.quoting is not None:
            return
        if self.layout.quoting == "none":
            if any(map(_looks_quoted, read)):
                self.quoted.append(number)
        elif len(lines) > 1 and num_columns > 1 and self._are_rows(lines, num_columns):
            self.swallowed.append(number)

    def reasons(self) -> Iterator[str]:
        """In words, after the name of the file."""
        if self.quoted:
            yield (
                f": {len(self.quoted):,} rows have a field in quotes, which are read as part of it (first: "
                f"row {self.quoted[0]}); `quoting: standard` under data would take them off, `quoting: none` "
                "keeps them"
            )
        if self.swallowed:
            yield (
                f": {len(self.swallowed):,} rows have a field in quotes over several lines that could be rows"
                f" (first: row {self.swallowed[0]}); `quoting: none` under data would read them so, "
                "`quoting: standard` keeps them as they are"
            )

    def _are_rows(self, lines: Sequence[str], num_columns: int) -> bool:
        delimiter = self.layout.delimiter or ","
        parts = [line.rstrip("\r\n").split(delimiter) for line in lines]
        return all(len(of) == num_columns and all(map(str.strip, of)) for of in parts)


def _next_row(reader: Any) -> list[str] | None:
    """The next row, its fields as long as a line may be.

    The csv module's limit (131,072 characters) is of the whole process: it is put back at once, so that no
    other reader sees it raised.
    """
    before = csv.field_size_limit(MAX_LINE)
    try:
        return next(reader, None)
    finally:
        csv.field_size_limit(before)


def _check_header(header: Sequence[str], columns: Sequence[str], layout: Layout, place: str) -> None:
    # A blank name is no column's: spreadsheets leave several of them behind the last column.
    if name := twice(name for name in header if name.strip() or name in columns):
        numbers = ", ".join(str(at) for at, other in enumerate(header, start=1) if other == name)
        raise ValueError(f"{place}: duplicate column {name!r} ({numbers}): rename all but one")
    faults = [f"{place}{lacking(column, header)}" for column in columns if column not in header]
    if faults:
        line = (layout.delimiter or ",").join(header)
        raise ValueError(listed(faults) + _hint_of_layout(line, columns, layout))


def _hint_of_layout(line: str, columns: Sequence[str], layout: Layout) -> str:
    """Format settings that would find the columns in a header line."""
    if len(line) <= len("sep=,") and line.lower().startswith("sep="):
        return "\n  the first line is one of Excel's (sep=), not the header: take it out"
    for delimiter in DELIMITERS:
        for quoting in ("none", "standard"):
            found = line.split(delimiter)
            if quoting == "standard":
                found = [name.strip(QUOTE) for name in found]
            if set(columns) <= set(found):
                asked = [f"delimiter: {_written(delimiter)}"] if delimiter != layout.delimiter else []
                asked += [f"quoting: {quoting}"] if quoting == "standard" and layout.quoting == "none" else []
                parted = f"columns are separated by {delimiter!r}: " if delimiter != layout.delimiter else ""
                return f"\n  {parted}write `{', '.join(asked)}` under data" if asked else ""
    return ""


def _written(delimiter: str) -> str:
    return '"\\t"' if delimiter == "\t" else f'"{delimiter}"'


def _fields(header: Sequence[str], values: Sequence[str], layout: Layout) -> Mapping[str, Any] | Fault:
    if len(values) != len(header):
        reason = f"fields: {len(values)}, but the header has {len(header)}"
        has_quote = layout.quoting == "none" and any(value.startswith(QUOTE) for value in values)
        hint = "; if fields are quoted, write `quoting: standard` under data" if has_quote else ""
        return Fault(reason + hint)
    if list(values) == list(header) and len(header) > 1:
        return Fault("the header again, as where two files were joined: take it out")
    return dict(zip(header, values, strict=True))


def _looks_quoted(value: str) -> bool:
    """Whether the csv module would have written a field so: in quotes, and those inside it doubled."""
    inside = value[1:-1]
    is_in_quotes = len(value) > 1 and value[0] == QUOTE == value[-1]
    return is_in_quotes and inside.count(QUOTE) == 2 * inside.count(2 * QUOTE)


def _in_words(error: csv.Error, layout: Layout) -> str:
    reason = str(error)
    if "new-line character" in reason:
        return "a carriage return (\\r) in the midst of a line: end lines in a line feed (\\n)"
    if "field larger" in reason:
        return f"a field of more than {MAX_LINE:,} characters: is a quote never closed?"
    hint = "; if quotes are ordinary characters here, write `quoting: none` under data"
    return f"not CSV: {reason}{hint if layout.quoting == 'standard' else ''}"
