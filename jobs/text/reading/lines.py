"""Numbered lines of a UTF-8 text file, also of one compressed with gzip; of another file, what it is."""

import gzip
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

from layerscope.jobs.text.reading.data_faults import Fault
from layerscope.jobs.text.reading.file_kinds import (
    GZIP,
    SAMPLE,
    conversion,
    guessed_encoding,
    kind_of,
    refuse_other_kind,
    regular,
)

MAX_LINE = 2**26
"""Bytes of a line, and characters of a field, beyond which a file is refused: no text is so long, and a line
without an end would fill the memory."""
MAX_UNPACKED = 2**23
"""Bytes from which on a compressed file may not be `MAX_RATIO` times larger than it looks."""
MAX_RATIO = 200
"""Texts become 3 to 10 times smaller by gzip, the same few of them again and again up to 150 times."""
BYTE_ORDER_MARK = "\ufeff"


class NotUtf8(Fault):
    """A line in another encoding, which the first such line of a file says."""


def numbered_lines(path: Path) -> Iterator[tuple[int, str | Fault]]:
    """Lines with their numbers from 1 and their line ends, a byte order mark at the beginning taken off.

    Raises:
        ValueError: there is no such file, or it is something else than a text in UTF-8.
    """
    with regular(path).open("rb") as raw:
        number = 0
        try:
            file = _unpacked(path, raw)
            head = file.peek(SAMPLE)[:SAMPLE]
            refuse_other_kind(path, head)
            is_known = False
            for number, line in _raw_lines(file, raw):
                text = line if isinstance(line, Fault) else _decoded(number, line)
                if isinstance(line, bytes) and isinstance(text, NotUtf8) and not is_known:
                    text, is_known = Fault(text.reason + _encoding_hint(path, head + line)), True
                yield number, text
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            yield number + 1, Fault(f"damaged gzip: {error}")


def has_suffix(path: Path, *suffixes: str) -> bool:
    """Whether a file's name ends so, in upper or lower case, compressed or not."""
    return path.name.lower().removesuffix(".gz").endswith(suffixes)


def _encoding_hint(path: Path, sample: bytes) -> str:
    encoding = guessed_encoding(sample)
    return "" if encoding is None else f"; it may be {encoding}: {conversion(path, encoding)}"


def _unpacked(path: Path, raw: BufferedReader) -> gzip.GzipFile | BufferedReader:
    if path.suffix.lower() != ".gz":
        return raw
    head = raw.peek(SAMPLE)[:SAMPLE]
    if head and not head.startswith(GZIP):
        what = kind_of(head) or f"name it {path.name[:-3]} if it is text"
        raise ValueError(f"{path}: not compressed with gzip, though its name ends in {path.suffix}: {what}")
    return gzip.GzipFile(fileobj=raw)


def _raw_lines(
    file: gzip.GzipFile | BufferedReader, raw: BufferedReader
) -> Iterator[tuple[int, bytes | Fault]]:
    """Lines as bytes, as long as neither one of them nor what gzip makes of the file has no end."""
    number, num_bytes = 0, 0
    while line := file.readline(MAX_LINE + 1):
        number, num_bytes = number + 1, num_bytes + len(line)
        if len(line) > MAX_LINE:
            yield (
                number,
                Fault(f"a line of more than {MAX_LINE:,} bytes, which can be no text: is one without end"),
            )
            return
        if file is not raw and num_bytes > MAX_UNPACKED and num_bytes > MAX_RATIO * raw.tell():
            yield (
                number,
                Fault(
                    f"unpacked, the file is more than {MAX_RATIO} times larger, as no texts are: unpack it "
                    "yourself if it is sound"
                ),
            )
            return
        yield number, line


def _decoded(number: int, line: bytes) -> str | Fault:
    if number == 1:
        line = line.removeprefix(b"\xef\xbb\xbf")
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        return NotUtf8(f"not UTF-8: byte 0x{line[error.start]:02x} at byte {error.start + 1} of the line")
    if text.startswith(BYTE_ORDER_MARK):
        return Fault("a byte order mark in the midst of the file, as where two were joined: take it out")
    if "\0" in text:
        return Fault(f"a byte of zero at character {text.index(chr(0)) + 1}: no text has one, so take it out")
    return text
