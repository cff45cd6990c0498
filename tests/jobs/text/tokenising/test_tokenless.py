"""Texts of which no token is left are found without tokenizing the others."""

import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from layerscope.jobs.text.tokenising.special_tokens import frame_of
from layerscope.jobs.text.tokenising.tokenless import tokenless

SEQUENCES = [("a b",), ("xyz",), ("xbx",), ("",), ("\u200b",)]


@pytest.fixture
def bare():
    """Knows two letters, and no token for what it does not know."""
    tokenizer = Tokenizer(BPE({"a": 0, "b": 1, "猫": 2}, []))
    tokenizer.pre_tokenizer = Whitespace()
    return tokenizer


def test_texts_of_unknown_characters_leave_nothing(bare):
    slow = [place for place, texts in enumerate(SEQUENCES) if not bare.encode(*texts).ids]
    assert list(tokenless(SEQUENCES, bare)) == slow == [1, 3, 4]


def test_one_text_of_a_pair_is_enough(bare):
    assert list(tokenless([("x", "a"), ("a", "x"), ("x", "x")], bare)) == [2]


def test_special_tokens_around_a_text_are_enough(bare):
    bare.post_processor = TemplateProcessing(single="a $A", pair="a $A $B", special_tokens=[("a", 0)])
    assert list(tokenless(SEQUENCES, bare)) == []


def test_a_vocabulary_without_latin_letters_has_a_frame():
    cat = Tokenizer(BPE({"猫": 0, "s": 1}, []))
    cat.post_processor = TemplateProcessing(single="s $A", pair="s $A $B:1", special_tokens=[("s", 1)])
    assert frame_of(cat, num_parts=1).special == ((1,), ())
    with pytest.raises(ValueError, match="no token of any text"):
        frame_of(Tokenizer(BPE({}, [])), num_parts=1)
