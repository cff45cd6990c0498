"""What a file is, by its first bytes, where it is not what its name says; in words, with what to do."""

import shlex
from collections.abc import Iterable
from pathlib import Path
from stat import S_ISBLK, S_ISCHR, S_ISFIFO, S_ISSOCK

from layerscope.jobs.text.reading.data_faults import existing

GZIP = b"\x1f\x8b"
PARQUET = b"PAR1"
POINTER = b"version https://git-lfs.github.com/"
"""How a file of Git LFS begins that only says where the file itself is."""
KINDS = (
    (GZIP, "compressed with gzip"),
    (b"PK\x03\x04", "a zip archive, as Excel's workbooks (.xlsx) are"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook (.xls) or Word file"),
    (PARQUET, "Parquet"),
    (b"ARROW1", "an Arrow file"),
    (b"BZh", "compressed with bzip2"),
    (b"\xfd7zXZ\x00", "compressed with xz"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstandard"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"\x93NUMPY", "an array of NumPy"),
    (b"\x80\x04\x95", "a pickle of Python"),
    (b"\x80\x05\x95", "a pickle of Python"),
    (b"%PDF-", "a PDF"),
    (b"{\\rtf", "a rich text (.rtf)"),
    (POINTER, "a pointer of Git LFS, not the file itself: `git lfs pull` gets it"),
)
ADVICE = {
    b"PK\x03\x04": "save it as CSV UTF-8, or unpack it",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "save it as CSV UTF-8",
    PARQUET: "name it .parquet",
    b"BZh": "unpack it (bunzip2)",
    b"\xfd7zXZ\x00": "unpack it (unxz)",
    b"\x28\xb5\x2f\xfd": "unpack it (unzstd)",
}
MARKS = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
"""Byte order marks; that of UTF-16 begins like one of UTF-32."""
SAMPLE = 2**16
"""Bytes of a file by which its encoding is guessed."""


def regular(path: Path) -> Path:
    """The path of a file with an end, or a ValueError that says what is there instead: a pipe would be waited
    for, and a device may be read for ever."""
    mode = existing(path).stat().st_mode
    kinds = ((S_ISFIFO, "pipe"), (S_ISSOCK, "socket"), (S_ISCHR, "device"), (S_ISBLK, "device"))
    other = next((noun for is_one, noun in kinds if is_one(mode)), None)
    if other is not None:
        raise ValueError(f"{path}: a {other}, not a file: write what comes from it to a file first")
    if path.is_dir():
        inside = ", ".join(sorted(part.name for part in path.iterdir())[:8])
        raise ValueError(f"{path}: a folder, not a file; in it are {inside or 'no files'}")
    return path


def refuse_pointers(paths: Iterable[Path]) -> None:
    """Raise ValueError where files are pointers of Git LFS, with all of their names."""
    found = [path for path in paths if _is_pointer(path)]
    if found:
        names = ", ".join(path.name for path in found)
        raise ValueError(
            f"{found[0].parent} has pointers of Git LFS in place of {names}: `git lfs pull` there gets the "
            "files themselves"
        )


def kind_of(head: bytes) -> str | None:
    """What begins with these bytes and is no text in lines, with what to do; nothing where it may be one."""
    for start, kind in KINDS:
        if head.startswith(start):
            return f"{kind}: {ADVICE[start]}" if start in ADVICE else kind
    if head[257:262] == b"ustar":
        return "a tar archive: unpack it"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:14].lower().startswith((b"<!doctype html", b"<html")):
        return "a web page (HTML), as a download that needs a login gives"
    return None


def refuse_other_kind(path: Path, head: bytes) -> None:
    """Raise ValueError where what a file of text begins with (after gzip's layer) is not UTF-8 text."""
    if head.startswith(GZIP) and path.suffix.lower() != ".gz":
        raise ValueError(f"{path}: compressed with gzip: name it {path.name}.gz")
    if head.startswith(GZIP):
        raise ValueError(f"{path}: compressed with gzip twice: unpack it once (gunzip)")
    if kind := kind_of(head):
        raise ValueError(f"{path}: {kind}")
    if encoding := _wide_encoding(head):
        raise ValueError(f"{path}: the text is in {encoding}, not UTF-8: {conversion(path, encoding)}")
    if b"\r" in head and b"\n" not in head:
        mend = _piped(path, r"tr '\r' '\n'", "lines")
        raise ValueError(
            f"{path}: its lines end in a carriage return (\\r) alone, as on old Macs, none in a line "
            f"feed (\\n): {mend} mends it"
        )
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"[{", b"[\n", b"[\r\n", b"[ ")):
        mend = _piped(path, "jq -c '.[]'", "lines")
        raise ValueError(f"{path}: one JSON array, not an object in each line: {mend} makes lines of it")


def conversion(path: Path, encoding: str) -> str:
    """The command that makes UTF-8 of a file."""
    return f"{_piped(path, f'iconv -f {encoding} -t UTF-8', 'utf8')} converts it"


def guessed_encoding(sample: bytes) -> str | None:
    """What bytes that are not UTF-8 may be, by a name that iconv knows: a guess, for messages alone."""
    from charset_normalizer import from_bytes

    best = from_bytes(sample).best()
    if best is None:
        return None
    # Of the many that fit, the one of Western Windows is by far the most frequent.
    encoding = "cp1252" if "cp1252" in best.could_be_from_charset else best.encoding
    names = {"latin_1": "ISO-8859-1", "mac_roman": "MACINTOSH"}
    return names.get(encoding, encoding.upper().replace("_", "-"))


def _wide_encoding(head: bytes) -> str | None:
    """UTF-16 or UTF-32 by the mark at the beginning, or by the zeros beside the letters of the first line."""
    marked = next((encoding for mark, encoding in MARKS if head.startswith(mark)), None)
    if marked is not None:
        return marked
    for encoding, at, line_end in (("UTF-16LE", 1, b"\n\0"), ("UTF-16BE", 0, b"\0\n")):
        size = max(4, head.find(line_end) // 2)
        zeros, letters = head[at::2][:size], head[1 - at :: 2][:size]
        if len(zeros) >= 4 and zeros.count(0) > len(zeros) / 2 > letters.count(0):
            return encoding
    return None


def _piped(path: Path, command: str, mark: str) -> str:
    """`COMMAND < a.csv > a.MARK.csv`, and through gzip where the file is compressed."""
    stem, _, suffixes = path.name.partition(".")
    source, target = shlex.quote(path.name), shlex.quote(f"{stem}.{mark}.{suffixes}")
    if path.suffix.lower() == ".gz":
        return f"`zcat {source} | {command} | gzip > {target}`"
    return f"`{command} < {source} > {target}`"


def _is_pointer(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(POINTER)) == POINTER
