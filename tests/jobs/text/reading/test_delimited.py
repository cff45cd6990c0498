"""CSV and TSV: the columns, the layout that a task says or a file suggests, and limits of the csv module."""

import csv

import pytest

from layerscope.jobs.specs.stages import Columns, Layout
from layerscope.jobs.text.reading.corpora import noted_rows

QUOTED = 'text\tlabel\n"He said ""yes"" to me"\tb\nplain\tc\n'
SWALLOWED = 'text,label\n"oh no,neg\ngood,pos\nsaid ",neg\nfine,pos\n'


def read(folder, name, content, layout=None, **columns):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return noted_rows(path, Columns(**columns), layout=layout or Layout())


def texts(folder, name, content, layout=None):
    return [row.text for row in read(folder, name, content, layout).found]


def refused(folder, name, content, layout=None) -> str:
    with pytest.raises(ValueError) as caught:
        read(folder, name, content, layout)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", "text,label,text\na,b,c\n", "a.csv:1: duplicate column 'text' (1, 3)"),
        ("a.tsv", "id\tid\ttext\tlabel\n1\t2\ta\tb\n", "a.tsv:1: duplicate column 'id' (1, 2)"),
        ("a.csv", "\ntext,label,text\na,b,c\n", "a.csv:2: duplicate column 'text'"),
        ("a.csv", "Text,label\na,b\n", "there is no column 'text' among Text, label; did you mean 'Text'?"),
        (
            "a.csv",
            "text, label\na,b\n",
            "there is no column 'label' among text,  label; did you mean ' label'?",
        ),
        (
            "a.csv",
            "text;label\na;b\n",
            "columns are separated by ';': write `delimiter: \";\"` under data",
        ),
        ("a.csv", "text\tlabel\na\tb\n", 'write `delimiter: "\\t"` under data'),
        ("a.tsv", "text,label\na,b\n", 'write `delimiter: ","` under data'),
        ("a.csv", '"text";"label"\n"a";"b"\n', 'write `delimiter: ";"` under data'),
        ("a.tsv", '"text"\t"label"\n"a"\t"b"\n', "write `quoting: standard` under data"),
        ("a.csv", "sep=;\ntext;label\na;b\n", "the first line is one of Excel's (sep=), not the header"),
        (
            "a.tsv",
            'text\tlabel\n"a\tb"\tx\n',
            "a.tsv:2: fields: 3, but the header has 2; if fields are quoted",
        ),
        (
            "a.csv",
            'text,label\n"no" they say,0\n',
            "a.csv:2: not CSV: ',' expected after '\"'; if quotes are ordinary",
        ),
        ("a.csv", "text,label\na,b\ntext,label\nc,d\n", "a.csv:3: the header again, as where two files were"),
        ("a.csv", "text,label\na,b\rc,d\n", "a.csv:2: a carriage return (\\r) in the midst of a line"),
    ],
)
def test_a_file_that_is_laid_out_otherwise_is_refused_with_what_to_write(tmp_path, name, content, reason):
    assert reason in refused(tmp_path, name, content)


def test_names_that_are_blank_are_no_columns(tmp_path):
    assert texts(tmp_path, "a.csv", ",text,label,,\n0,a,b,,\n") == ["a"]


@pytest.mark.parametrize("content", ["text,label\r\na,b\nc,d\r\n", "\n\ntext,label\na,b\nc,d"])
def test_line_ends_may_be_mixed_and_lines_before_the_header_blank(tmp_path, content):
    assert texts(tmp_path, "a.csv", content) == ["a", "c"]


def test_a_task_says_what_parts_columns_and_whether_quotes_count(tmp_path):
    assert texts(tmp_path, "a.csv", "text;label\na, b;c\n", Layout(delimiter=";")) == ["a, b"]
    assert texts(tmp_path, "a.tsv", QUOTED, Layout(quoting="standard")) == ['He said "yes" to me', "plain"]
    assert texts(tmp_path, "a.csv", 'text,label\n"no" they say,0\n', Layout(quoting="none")) == [
        '"no" they say'
    ]


def test_fields_in_quotes_that_are_read_with_them_are_noticed_until_the_task_says_so(tmp_path):
    (note,) = read(tmp_path, "a.tsv", QUOTED).notes
    assert note.startswith(
        "a.tsv: 1 rows have a field in quotes, which are read as part of it (first: row 2)"
    )
    assert "`quoting: standard` under data" in note
    assert read(tmp_path, "a.tsv", QUOTED, Layout(quoting="none")).notes == ()


def test_the_bare_quotes_of_glue_are_no_fields_in_quotes(tmp_path):
    noted = read(tmp_path, "a.tsv", 'text\tlabel\nsay "yes\t1\n"no" they say "no"\t0\n')
    assert [row.text for row in noted.found] == ['say "yes', '"no" they say "no"']
    assert noted.notes == ()


def test_rows_that_a_quote_has_swallowed_are_noticed(tmp_path):
    (note,) = read(tmp_path, "a.csv", SWALLOWED).notes
    assert "1 rows have a field in quotes over several lines that could be rows (first: row 2)" in note
    assert len(texts(tmp_path, "a.csv", SWALLOWED, Layout(quoting="none"))) == 4
    assert read(tmp_path, "a.csv", SWALLOWED, Layout(quoting="standard")).notes == ()
    poem = 'text,label\n"Roses are red,\nviolets are blue",pos\n"x\ny",neg\n'
    assert read(tmp_path, "a.csv", poem).notes == ()


def test_a_layout_is_of_delimited_text_alone(tmp_path):
    message = refused(tmp_path, "a.jsonl", '{"text": "a", "label": "b"}\n', Layout(quoting="none"))
    assert "delimiter and quoting are those of .csv and .tsv: leave them out" in message


def test_a_long_field_is_read_and_the_limit_of_the_csv_module_stays(tmp_path):
    before = csv.field_size_limit()
    long = "word " * 40_000
    assert texts(tmp_path, "a.csv", f'text,label\n"{long}",b\n') == [long]
    assert csv.field_size_limit() == before


def test_a_quote_that_is_never_closed_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("layerscope.jobs.text.reading.delimited.MAX_LINE", 1000)
    message = refused(tmp_path, "a.csv", 'text,label\na,b\n"' + "word\n" * 300)
    assert "a.csv:3: a field of more than 1,000 characters: is a quote never closed?" in message
