import os
from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import BertWordPieceTokenizer

from layerscope.jobs.text.reading.annotated_sentences import AnnotatedSentence, Unit
from layerscope.jobs.text.tokenising.tokenizer import load_tokenizer
from layerscope.jobs.text.tokenising.word_tokens import encode_words

SHARED = Path(os.environ.get("LAYERSCOPE_SHARED", Path(__file__).parents[4] / "../shared")).resolve()
WORDS = ("She", "unravelled", "the", "U.S.", "flag", ".")
UNITS = tuple(Unit(((at, at + 1),), word) for at, word in enumerate(WORDS))
SENTENCE = AnnotatedSentence("s", WORDS, (*UNITS, Unit(((0, 2), (4, 6)), "pair")))


def test_tokens_of_a_word_are_its_pieces_and_special_tokens_are_counted(tmp_path):
    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "she",
        "un",
        "##ravel",
        "##led",
        "the",
        "flag",
        ".",
    ]
    vocabulary = {piece: number for number, piece in enumerate([*pieces, "u", "s"])}
    tokenizer = BertWordPieceTokenizer(vocabulary)._tokenizer
    (encoded,) = encode_words([SENTENCE], tokenizer)
    assert [tokenizer.id_to_token(token) for token in encoded.input_ids] == [
        "[CLS]", "she", "un", "##ravel", "##led", "the", "u", ".", "s", ".", "flag", ".", "[SEP]"
    ]  # fmt: skip
    spans = [unit.spans for unit in encoded.units]
    assert spans[:6] == [((1, 2),), ((2, 5),), ((5, 6),), ((6, 10),), ((10, 11),), ((11, 12),)]
    assert spans[6] == ((1, 5), (10, 12))
    assert encoded.units[6].words == "she unravelled"


def test_a_unit_whose_word_has_no_token_is_left_out():
    tokenizer = BertWordPieceTokenizer({"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3})._tokenizer
    units = (Unit(((0, 1),), "kept"), Unit(((1, 2),), "lost"))
    # The second word is a control character, which normalisation takes away.
    (encoded,) = encode_words([AnnotatedSentence("s", ("a", "\u200d\u0007"), units)], tokenizer)
    assert [unit.label for unit in encoded.units] == ["kept"]


@pytest.mark.parametrize("name", ["bert-base-uncased", "roberta-base", "albert-base-v2", "babyberta"])
def test_the_tokens_of_a_word_spell_it_with_every_tokenizer(name):
    folder = SHARED / "models" / f"tokenizer-{name}"
    if not folder.exists():
        pytest.skip(f"{folder} is not here: set LAYERSCOPE_SHARED to the folder of shared data")
    tokenizer = load_tokenizer(folder)
    sentence = SENTENCE
    if name == "babyberta":  # AutoTokenizer drops the lower-casing of its file: capitals are unknown.
        sentence = replace(SENTENCE, words=tuple(word.lower() for word in SENTENCE.words))
    (encoded,) = encode_words([sentence], tokenizer)
    for unit, word in zip(encoded.units, WORDS, strict=False):
        ((first, last),) = unit.spans
        spelt = tokenizer.decode(encoded.input_ids[first:last]).replace(" ", "")
        assert spelt.lower() == word.lower()
