"""Rows with marked spans as annotated sentences, and their tokens."""

import json
import re

import pytest
from tokenizers import BertWordPieceTokenizer

from layerscope.jobs.specs.stages import Columns, SpanColumns
from layerscope.jobs.text.reading.span_rows import read_span_sentences
from layerscope.jobs.text.tokenising.word_tokens import encode_words

SENSES = Columns(
    text="one",
    text_pair="two",
    label="label",
    spans=(
        SpanColumns(start="start1", end="end1"),
        SpanColumns(of="text_pair", start="start2", end="end2"),
    ),
)
PRONOUNS = Columns(
    text="text",
    label="label",
    spans=(SpanColumns(first_word="at1", words="words1"), SpanColumns(first_word="at2", words="words2")),
)
WIC = {
    "one": "The bank's guard, he sat.",
    "two": "A river bank.",
    "start1": 4,
    "end1": 8,
    "start2": 8,
    "end2": 12,
    "label": "different",
}
WSC = {
    "text": "The city council refused the men a permit because they feared violence.",
    "at1": 0,
    "words1": "The city council",
    "at2": 9,
    "words2": "they",
    "label": 1,
}


@pytest.fixture(scope="module")
def tokenizer():
    texts = " ".join((WIC["one"], WIC["two"], WSC["text"])).lower().replace("violence", "viol")
    words = [*dict.fromkeys(re.findall(r"\w+|[^\w\s]", texts)), "##ence"]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    return BertWordPieceTokenizer({token: number for number, token in enumerate(tokens)})


def read(folder, columns, *rows):
    path = folder / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_span_sentences(path, columns)


def tokens_of(tokenizer, sentence):
    (encoded,) = encode_words([sentence], tokenizer)
    tokens = [tokenizer.id_to_token(number) for number in encoded.input_ids]
    (unit,) = encoded.units
    return encoded, [tokens[first:last] for first, last in unit.spans]


def test_characters_of_a_pair_become_tokens_of_one_sequence(tokenizer, tmp_path):
    (sentence,) = read(tmp_path, SENSES, WIC)
    assert sentence.texts() == (WIC["one"], WIC["two"])
    encoded, spans = tokens_of(tokenizer, sentence)
    assert spans == [["bank"], ["bank"]]
    plain = tokenizer.encode(WIC["one"], WIC["two"])
    assert (list(encoded.input_ids), list(encoded.type_ids)) == (plain.ids, plain.type_ids)
    assert encoded.units[0].spans[0][0] < plain.ids.index(3) < encoded.units[0].spans[1][0]
    assert encoded.units[0].label == "different"


def test_words_of_one_text_become_tokens(tokenizer, tmp_path):
    (sentence,) = read(tmp_path, PRONOUNS, WSC)
    encoded, spans = tokens_of(tokenizer, sentence)
    assert spans == [["the", "city", "council"], ["they"]]
    assert encoded.type_ids is None
    assert list(encoded.input_ids) == tokenizer.encode(WSC["text"]).ids
    assert encoded.units[0].label == "1"


@pytest.mark.parametrize(
    ("columns", "row", "reason"),
    [
        (SENSES, WIC | {"end1": 4}, "start1 4 and end1 4 are no span of a text of 25 characters"),
        (SENSES, WIC | {"end2": 99}, "start2 8 and end2 99 are no span of a text of 13 characters"),
        (SENSES, WIC | {"start1": 3, "end1": 4}, "start1 3 and end1 4 are no span"),
        (SENSES, WIC | {"start1": "x"}, "start1 must be a whole number from 0, not 'x'"),
        (SENSES, WIC | {"start1": -1}, "start1 must be a whole number from 0, not -1"),
        (SENSES, {k: v for k, v in WIC.items() if k != "end1"}, "there is no column 'end1'"),
        (SENSES, WIC | {"two": " "}, "empty second text"),
        (SENSES, WIC | {"label": None}, "no label"),
        (PRONOUNS, WSC | {"at2": 12}, "at2 12 with 1 words goes beyond a text of 12"),
        (PRONOUNS, WSC | {"words1": ""}, "words1 must be the words of a span, not ''"),
    ],
)
def test_a_bad_row_is_refused_with_its_file_and_row(tmp_path, columns, row, reason):
    sound = WIC if columns is SENSES else WSC
    with pytest.raises(ValueError) as caught:
        read(tmp_path, columns, sound, row)
    assert "train.jsonl:2: " in str(caught.value)
    assert reason in str(caught.value)


def test_rows_without_a_label_are_left_out_where_that_is_asked_for(tmp_path):
    columns = SENSES.model_copy(update={"skip_unlabelled": True})
    assert [sentence.id for sentence in read(tmp_path, columns, WIC | {"label": None}, WIC)] == ["2"]
