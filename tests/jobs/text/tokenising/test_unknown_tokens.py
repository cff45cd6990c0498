"""What a tokenizer does not know of texts: counted, and remembered by texts and tokenizer."""

import json

import pytest
from tokenizers import Tokenizer, models
from tokenizers.pre_tokenizers import ByteLevel, Whitespace

from layerscope.jobs.text.tokenising import unknown_tokens
from layerscope.jobs.text.tokenising.unknown_tokens import MOST_TEXTS, count_unknown, unknown_in


def of_words(*words: str) -> Tokenizer:
    vocabulary = {word: number for number, word in enumerate(["[UNK]", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    return tokenizer


def test_texts_and_tokens_that_are_unknown_are_counted():
    found = count_unknown(["red house", "red cat", "dog cat", " "], of_words("red", "house"))
    assert (found.num_texts, found.num_lost, found.lost) == (4, 2, "dog cat")
    assert (found.share, found.most, found.token) == (3 / 6, "dog cat", "[UNK]")


def test_the_unknown_token_of_a_unigram_is_found():
    tokenizer = Tokenizer(models.Unigram([("<s>", 0.0), ("<unk>", 0.0), ("a", -1.0)], unk_id=1))
    found = count_unknown(["aa", "☃"], tokenizer)
    assert (found.num_lost, found.lost, found.token) == (1, "☃", "<unk>")


def test_bytes_are_all_known():
    vocabulary = {letter: number for number, letter in enumerate(sorted(ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    found = count_unknown(["☃ 猫"], tokenizer)
    assert (found.num_lost, found.share, found.most, found.token) == (0, 0.0, None, None)


def test_no_texts_are_no_fault():
    assert count_unknown([], of_words("a")).num_texts == 0


@pytest.fixture
def folder(tmp_path):
    of_words("red").save(str(tmp_path / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "[UNK]"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return tmp_path


def test_of_many_texts_some_are_looked_at_and_once(folder, monkeypatch):
    texts = [f"red {number}" for number in range(3 * MOST_TEXTS)]
    found = unknown_in(folder, texts)
    assert found.num_texts == MOST_TEXTS
    monkeypatch.setattr(unknown_tokens, "count_unknown", lambda *_: pytest.fail("it was counted again"))
    assert unknown_in(folder, texts) == found
