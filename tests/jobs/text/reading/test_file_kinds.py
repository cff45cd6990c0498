"""Files that are not what their name says: what the message says that they are, and nothing that waits."""

import gzip
import io
import os
import zipfile
from pathlib import Path

import pytest

from layerscope.jobs.text.reading.corpora import digest, read_rows

CSV = "text,label\na café,b\nc,d\n"


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def refused(path: Path) -> str:
    with pytest.raises(ValueError) as caught:
        read_rows(path)
    return str(caught.value)


def packed(content: bytes) -> bytes:
    """Without the time: processes that share the tests must see the same cases."""
    return gzip.compress(content, mtime=0)


def workbook() -> bytes:
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("xl/workbook.xml", "<workbook/>")
        return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", CSV.encode("utf-16"), "`iconv -f UTF-16 -t UTF-8 < a.csv > a.utf8.csv` converts it"),
        ("a.tsv", CSV.encode("utf-16-le"), "the text is in UTF-16LE, not UTF-8"),
        ("a.jsonl", b'{"text": "a"}\n'.decode().encode("utf-16-be"), "the text is in UTF-16BE, not UTF-8"),
        ("a.csv", CSV.encode("utf-32"), "the text is in UTF-32, not UTF-8"),
        (
            "a.csv.gz",
            packed(CSV.encode("utf-16")),
            "`zcat a.csv.gz | iconv -f UTF-16 -t UTF-8 | gzip > a.utf8.csv.gz` converts it",
        ),
        ("a b.csv", CSV.encode("utf-16"), "< 'a b.csv' > 'a b.utf8.csv'"),
        (
            "a.csv",
            CSV.encode("cp1252"),
            "a.csv:2: not UTF-8: byte 0xe9 at byte 6 of the line; it may be CP1252",
        ),
        ("a.csv", CSV.replace("\n", "\r").encode(), "its lines end in a carriage return (\\r) alone"),
        ("a.csv", packed(CSV.encode()), "a.csv: compressed with gzip: name it a.csv.gz"),
        (
            "a.csv.gz",
            CSV.encode(),
            "a.csv.gz: not compressed with gzip, though its name ends in .gz: name it",
        ),
        (
            "a.csv.gz",
            packed(packed(CSV.encode())),
            "compressed with gzip twice",
        ),
        ("a.csv.gz", workbook(), "not compressed with gzip, though its name ends in .gz: a zip archive"),
        ("a.csv", workbook(), "a.csv: a zip archive, as Excel's workbooks (.xlsx) are: save it as CSV UTF-8"),
        ("a.xlsx", workbook(), "not a known format; known are .jsonl"),
        ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "it is an old Excel workbook (.xls)"),
        ("a.parquet", workbook(), "not Parquet: a zip archive"),
        ("a.parquet", b"", "not Parquet: it is empty"),
        ("a.jsonl", b"PAR1....", "a.jsonl: Parquet: name it .parquet"),
        ("a.jsonl", b"BZh91AY", "compressed with bzip2: unpack it"),
        ("a.jsonl", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "`git lfs pull` gets it"),
        ("a.csv", b"<!DOCTYPE html>\n<html>", "a web page (HTML)"),
        ("a.csv", b"\0" * 257 + b"ustar", "a tar archive"),
        ("a.jsonl", b'[\n {"text": "a"}\n]', "one JSON array, not an object in each line: `jq -c '.[]'"),
        ("a.jsonl", b'[{"text": "a"}]', "one JSON array"),
        ("a.jsonl", b'{\n"text": "a"\n}\n', "JSON lines have a whole object in each line"),
        ("a.json", b"[]", "if each line is a JSON object, name it .jsonl"),
        ("a.txt", b"text\tlabel\n", "if its columns are separated by tabs, name it .tsv"),
        ("a.csv", b"\0" * 9000, "a.csv:1: a byte of zero at character 1"),
        ("a.csv", b"text,label\na\0b,c\n", "a.csv:2: a byte of zero at character 2"),
        (
            "a.csv",
            "\ufefftext,label\na,b\n\ufefftext,label\nc,d\n".encode(),
            "a.csv:3: a byte order mark in the midst of the file",
        ),
    ],
)
def test_the_message_says_what_a_file_is(tmp_path, name, content, reason):
    assert reason in refused(write(tmp_path / name, content))


def test_only_the_first_line_in_another_encoding_says_which_it_may_be(tmp_path):
    path = write(
        tmp_path / "a.csv", ("text,label\n" + "Москва большой город России,да\n" * 3).encode("cp1251")
    )
    first, *others = refused(path).splitlines()
    assert first.endswith("it may be CP1251: `iconv -f CP1251 -t UTF-8 < a.csv > a.utf8.csv` converts it")
    assert [line.strip() for line in others] == [
        f"a.csv:{number}: not UTF-8: byte 0xcc at byte 1 of the line" for number in (3, 4)
    ]


@pytest.mark.parametrize("name", ["A.CSV", "a.Csv.GZ", "a.JSONL"])
def test_suffixes_may_be_in_upper_case(tmp_path, name):
    content = b'{"text": "a caf\xc3\xa9", "label": "b"}\n' if "JSON" in name else CSV.encode()
    rows = read_rows(write(tmp_path / name, gzip.compress(content) if name.endswith("GZ") else content))
    assert rows[0].text == "a café"


@pytest.mark.parametrize("name", ["pipe.csv", "pipe.parquet", "pipe.csv.gz", "pipe.xyz"])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    assert "a pipe, not a file" in refused(tmp_path / name)
    with pytest.raises(ValueError, match="a pipe"):
        digest(tmp_path / name)


def test_a_device_is_refused_also_behind_a_link(tmp_path):
    (tmp_path / "zeros.csv").symlink_to("/dev/zero")
    assert "a device, not a file" in refused(tmp_path / "zeros.csv")


def test_a_path_of_windows_is_refused_with_the_one_that_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    write(Path("data/a.csv"), CSV.encode())
    assert "folders are parted by / here: data/a.csv" in refused(Path("data\\a.csv"))


def test_a_line_without_end_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("layerscope.jobs.text.reading.lines.MAX_LINE", 1000)
    path = write(tmp_path / "a.csv.gz", gzip.compress(b"text,label\n" + b"a" * 5000))
    assert "a.csv.gz:2: a line of more than 1,000 bytes" in refused(path)


def test_an_archive_of_nothing_but_line_ends_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("layerscope.jobs.text.reading.lines.MAX_UNPACKED", 2**16)
    path = write(tmp_path / "a.jsonl.gz", gzip.compress(b"\n" * 2**20))
    assert "unpacked, the file is more than 200 times larger, as no texts are" in refused(path)
