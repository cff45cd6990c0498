import gzip
import json
import os
from pathlib import Path

import pytest

from jobs.text.annotations import AnnotatedSentence, Unit, read_annotations, sample_annotations
from jobs.text.sample_corpus import sample_documents, to_conllu

SHARED = Path(os.environ.get("LAYERSCOPE_SHARED", Path(__file__).parents[3] / "../shared")).resolve()

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
