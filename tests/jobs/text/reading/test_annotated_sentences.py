import gzip
import json
import os
from pathlib import Path

import pytest

from layerscope.jobs.text.reading.annotated_sentences import (
    AnnotatedSentence,
    Unit,
    noted_annotations,
    read_annotations,
    sample_annotations,
)
from layerscope.jobs.text.sample_corpus.sample_documents import sample_documents
from tests.jobs.text.sample_corpus.conllu import to_conllu

SHARED = Path(os.environ.get("LAYERSCOPE_SHARED", Path(__file__).parents[4] / "../shared")).resolve()

CONLLU = """\
# sent_id = first
# text = We can't go.
1\tWe\twe\tPRON\tPRP\t_\t4\tnsubj\t_\t_
2-3\tcan't\t_\t_\t_\t_\t_\t_\t_\t_
2\tca\tcan\tAUX\tMD\t_\t4\taux\t_\t_
3\tn't\tnot\tPART\tRB\t_\t4\tadvmod\t_\t_
4\tgo\tgo\tVERB\tVB\t_\t0\troot\t_\t_
4.1\tgone\tgo\tVERB\tVB\t_\t_\t_\t_\t_
5\t.\t.\tPUNCT\t.\t_\t4\tpunct\t_\t_

1\tYes\tyes\tINTJ\tUH\t_\t0\troot\t_\t_
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def lexical(word: str, number: int, *, mwe: str = "_", role: str = "_", function: str = "_") -> str:
    head = 0 if number == 1 else 1
    fields = [number, word, word, "X", "X", "_", head, "dep", "_", "_", mwe, "P", word, role, function]
    return "\t".join(map(str, [*fields, "_", "_", "_", "O"]))


def test_every_word_has_a_tag_and_ranges_and_empty_nodes_are_no_words(tmp_path):
    sentences = read_annotations(write(tmp_path / "x.conllu", CONLLU), "upos")
    assert [sentence.id for sentence in sentences] == ["first", "11"]
    assert sentences[0].words == ("We", "ca", "n't", "go", ".")
    assert [unit.label for unit in sentences[0].units] == ["PRON", "AUX", "PART", "VERB", "PUNCT"]
    assert sentences[1] == AnnotatedSentence("11", ("Yes",), (Unit(((0, 1),), "INTJ"),))


def test_a_relation_is_that_of_a_word_and_its_head_and_roots_have_none(tmp_path):
    (sentence,) = read_annotations(write(tmp_path / "x.conllu", CONLLU), "deprel")
    assert sentence.units[0] == Unit(((0, 1), (3, 4)), "nsubj")
    assert [unit.label for unit in sentence.units] == ["nsubj", "aux", "advmod", "punct"]


def test_prepositions_of_several_words_are_one_span_and_those_with_a_gap_none(tmp_path):
    lines = [
        lexical("out", 1, mwe="1:1", role="p.Source", function="p.Locus"),
        lexical("of", 2, mwe="1:2"),
        lexical("as", 3, mwe="2:1", role="p.Goal", function="p.Goal"),
        lexical("far", 4),
        lexical("as", 5, mwe="2:2"),
        lexical("seen", 6, role="v.perception"),
        lexical("to", 7, role="p.Goal", function="p.Direction"),
    ]
    path = write(tmp_path / "x.conllulex", "# sent_id = s\n" + "\n".join(lines) + "\n\n")
    (roles,), (functions,) = (read_annotations(path, label) for label in ("role", "function"))
    assert roles.units == (Unit(((0, 2),), "Source"), Unit(((6, 7),), "Goal"))
    assert [unit.label for unit in functions.units] == ["Locus", "Direction"]


def test_json_lines_of_one_sentence_are_its_units(tmp_path):
    rows = [
        {"sent_id": "a", "tokens": ["off", "to", "bed"], "span": [1, 2], "kind": "goal"},
        {"sent_id": "a", "tokens": ["off", "to", "bed"], "span": [0, 1], "span2": [2, 3], "kind": "pair"},
    ]
    path = write(tmp_path / "x.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    (sentence,) = read_annotations(path, "kind")
    assert sentence.units == (Unit(((1, 2),), "goal"), Unit(((0, 1), (2, 3)), "pair"))


def test_compressed_files_are_read(tmp_path):
    path = tmp_path / "x.conllu.gz"
    path.write_bytes(gzip.compress(CONLLU.encode()))
    assert len(read_annotations(path, "upos")) == 2


@pytest.mark.parametrize(
    ("name", "text", "label", "fault"),
    [
        ("x.conllu", "1\tWe\twe\n\n", "upos", "x.conllu:1: 3 fields between tabs, not 10"),
        (
            "x.conllu",
            CONLLU.replace("4\tgo", "6\tgo"),
            "upos",
            "x.conllu:3: words are numbered 1, 2, 3, 6, 5",
        ),
        (
            "x.conllu",
            CONLLU.replace("\t4\tnsubj", "\t9\tnsubj"),
            "deprel",
            "x.conllu:3: the head of word 1 must be 0 to 5, not '9'",
        ),
        ("x.conllu", CONLLU, "role", "CoNLL-U has no label 'role': choose upos, xpos, deprel"),
        ("x.txt", CONLLU, "upos", "not a known format of annotations"),
        (
            "x.jsonl",
            '{"tokens": [], "span": [0, 1], "kind": "a"}\n',
            "kind",
            "x.jsonl:1: tokens must be a list",
        ),
        (
            "x.jsonl",
            '{"tokens": ["a"], "span": [0, 2], "kind": "a"}\n',
            "kind",
            "x.jsonl:1: span must be [first word, word after the last] of 1 words, not [0, 2]",
        ),
        (
            "x.jsonl",
            '{"tokens": ["a"], "span": [0, 1], "kinds": "a"}\n',
            "kind",
            "x.jsonl:1: no label: there is no column 'kind' among tokens, span, kinds; did you mean 'kinds'?",
        ),
    ],
)
def test_a_bad_line_is_refused_by_file_and_number(tmp_path, name, text, label, fault):
    with pytest.raises(ValueError) as told:
        read_annotations(write(tmp_path / name, text), label)
    assert fault in str(told.value)


@pytest.mark.parametrize("label", ["upos", "deprel", "role"])
def test_the_sample_corpus_is_annotated_as_its_conllu_says(tmp_path, label):
    made = sample_annotations(label=label, num_sentences=20, seed=3, part="train")
    assert 0 < len(made) <= 20
    assert made != sample_annotations(label=label, num_sentences=20, seed=3, part="test")
    if label != "role":
        documents = sample_documents(num_documents=20, seed=6, length="short")
        assert made == read_annotations(write(tmp_path / "x.conllu", to_conllu(documents)), label)[:20]


@pytest.mark.parametrize(
    ("name", "label", "num_units"),
    [
        ("ud_english_ewt/en_ewt-ud-test.conllu", "upos", 25_094),
        ("streusle/streusle.ud_dev.conllulex", "role", 459),
        ("streusle/ps.dev.jsonl", "role", 459),
    ],
)
def test_public_treebanks_are_read(name, label, num_units):
    path = SHARED / "data" / name
    if not path.exists():
        pytest.skip(f"{path} is not here: set LAYERSCOPE_SHARED to the folder of shared data")
    sentences = read_annotations(path, label)
    assert sum(len(sentence.units) for sentence in sentences) == num_units


def parsed(*tags: str, head: str | None = None, deprel: str = "dep") -> str:
    return "".join(
        f"{number}\tw{number}\t_\t{tag}\t{tag}\t_\t{head or number - 1}\t{deprel}\t_\t_\n"
        for number, tag in enumerate(tags, start=1)
    )


@pytest.mark.parametrize("label", ["upos", "xpos"])
def test_tags_are_read_where_no_word_has_a_head(tmp_path, label):
    path = write(tmp_path / "x.conllu", parsed("DET", "NOUN", head="_", deprel="_"))
    (sentence,) = read_annotations(path, label)
    assert [unit.label for unit in sentence.units] == ["DET", "NOUN"]
    with pytest.raises(ValueError, match=r"no sentence has a label 'deprel': all 2 words have _ there"):
        read_annotations(path, "deprel")


def test_words_without_a_label_are_left_out_and_counted(tmp_path):
    path = write(tmp_path / "x.conllu", parsed("DET", "_", "NOUN") + "\n" + parsed("_"))
    ((sentence,), notes) = noted_annotations(path, "upos")
    assert sentence.units == (Unit(((0, 1),), "DET"), Unit(((2, 3),), "NOUN"))
    assert len(sentence.words) == 3
    assert notes == ("x.conllu: 2 words have no upos (_), and are left out",)


def test_a_relation_without_a_name_is_none_and_one_without_a_head_a_fault(tmp_path):
    text = parsed("A", "B", "C").replace("2\tdep", "2\t_")
    (sentence,) = read_annotations(write(tmp_path / "x.conllu", text), "deprel")
    assert [unit.spans[0] for unit in sentence.units] == [(1, 2)]
    with pytest.raises(ValueError, match=r"x.conllu:1: the head of word 1 must be 0 to 1, not '_'"):
        read_annotations(write(tmp_path / "x.conllu", parsed("A", head="_")), "deprel")


def test_roles_are_read_without_heads(tmp_path):
    line = lexical("to", 1, role="p.Goal", function="p.Goal").replace("\t0\tdep", "\t_\t_")
    (sentence,) = read_annotations(write(tmp_path / "x.conllulex", line + "\n"), "role")
    assert sentence.units == (Unit(((0, 1),), "Goal"),)


def test_line_ends_of_windows_comments_and_blank_lines_change_nothing(tmp_path):
    text = CONLLU.replace("\n\n", "\n\n\n \n").replace("2\tca\t", "# in between\n2\tca\t")
    plain = read_annotations(write(tmp_path / "x.conllu", CONLLU), "upos")
    other = tmp_path / "y.CONLLU"
    other.write_bytes(b"\xef\xbb\xbf" + text.rstrip().replace("\n", "\r\n").encode())
    found = read_annotations(other, "upos")
    assert [(one.words, one.units) for one in found] == [(one.words, one.units) for one in plain]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (parsed("A").replace("1\tw1", "1a\tw1"), "x.conllu:1: '1a' is not a word number (1), range"),
        (parsed("A").replace("\tw1\t", "\t\t"), "x.conllu:1: word 1 is empty"),
        (parsed("", "B"), "x.conllu:1: the label of word 1 is empty: use _ for no value"),
        ("# sent_id = a\n# sent_id = b\n" + parsed("A"), "the sentence has 2 names (sent_id): a, b"),
        (
            "# global.columns = ID FORM UPOS LEMMA\n" + parsed("A"),
            "x.conllu:1: columns are ID FORM UPOS LEMMA",
        ),
        (parsed("A").replace("\t", "   "), "1 fields between tabs, not 10; put tabs in place of the spaces"),
        (parsed("A").replace("w1", "w\r1"), "x.conllu:1: a carriage return (\\r) in the midst of the line"),
    ],
)
def test_lines_that_would_be_passed_over_or_misread_are_refused(tmp_path, text, fault):
    path = tmp_path / "x.conllu"
    path.write_bytes(text.encode())
    with pytest.raises(ValueError) as told:
        read_annotations(path, "upos")
    assert fault in str(told.value)


@pytest.mark.parametrize("field", ["tokens", "kind", "sent_id"])
def test_half_of_a_surrogate_pair_is_refused_in_every_field(tmp_path, field):
    line = {"sent_id": "a", "tokens": ["a"], "span": [0, 1], "kind": "b"}
    line |= {field: ["\ud83d"] if field == "tokens" else "\ud83d"}
    with pytest.raises(ValueError, match="x.jsonl:1: .*half of a surrogate pair"):
        read_annotations(write(tmp_path / "x.jsonl", json.dumps(line) + "\n"), "kind")
