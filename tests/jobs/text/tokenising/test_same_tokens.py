"""Token ids are held to those of `AutoTokenizer` on texts that would show a difference."""

import json

import pytest
from tokenizers import BertWordPieceTokenizer

from layerscope.jobs.artifacts.token_sample import Tokenised, read_sample, write_sample
from layerscope.jobs.text.tokenising import same_tokens
from layerscope.jobs.text.tokenising.same_tokens import check_same_tokens, check_sample, faults_of, is_known
from layerscope.jobs.text.tokenising.token_samples import (
    FIRST,
    LONGEST,
    MOST_CHARACTERS,
    UNUSUAL,
    sample_of,
    tokenised,
)
from layerscope.jobs.text.tokenising.tokenizer import load_tokenizer, tokenizer_memory

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "Red", "house", "and", "##s"]
SAMPLE = [("red houses",), ("Red house", "and red"), ("",)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}), encoding="utf-8")
    configure(tmp_path)
    return tmp_path


def configure(folder, **settings):
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer"} | settings), encoding="utf-8"
    )


def misread(folder):
    """What is kept of the tokenizer is another one, which does not lower-case."""
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    other = BertWordPieceTokenizer(vocabulary, lowercase=False).to_str()
    load_tokenizer(folder)
    tokenizer_memory(folder).write_text('{"split_special_tokens": false}\n' + other, encoding="utf-8")


def test_a_sample_that_passed_is_remembered(folder, monkeypatch):
    assert not is_known(folder, SAMPLE)
    check_sample(str(folder), SAMPLE)
    assert is_known(folder, SAMPLE)
    assert not is_known(folder, SAMPLE[:1])
    monkeypatch.setattr(
        same_tokens, "check_same_tokens", lambda *_, **__: pytest.fail("it was checked again")
    )
    check_sample(str(folder), SAMPLE)
    configure(folder, do_lower_case=False)
    assert not is_known(folder, SAMPLE)


def test_other_tokens_are_refused_with_both_and_their_cause(folder):
    misread(folder)
    told = (
        r"the text 'Red house' \+ 'and red' has the tokens \[CLS\] Red house \[SEP\] and red \[SEP\], and "
        r"from AutoTokenizer \[CLS\] red house \[SEP\] and red \[SEP\]: BertTokenizer does more in Python"
    )
    with pytest.raises(ValueError, match=told):
        check_sample(str(folder), SAMPLE)
    assert not is_known(folder, SAMPLE)
    no_code = {str(folder): None}
    assert list(faults_of({str(folder): [SAMPLE[:1], SAMPLE]}, no_code)) == [str(folder)]
    assert faults_of({str(folder): [SAMPLE[:1]]}, no_code) == {}


def test_the_texts_of_a_pair_are_held_one_by_one_too(folder, monkeypatch):
    held = []
    monkeypatch.setattr(same_tokens, "check_same_tokens", lambda folder, known, **_: held.extend(known))
    check_sample(str(folder), [("red", "house")])
    assert [one.texts for one in held] == [("red", "house"), ("red",), ("house",)]


def test_long_texts_are_shown_around_the_first_difference(folder):
    configure(folder, do_lower_case=True)
    long = Tokenised(("red " * 50,), [2, *[5] * 30, 6, *[5] * 19, 3], None)
    with pytest.raises(
        ValueError, match=r"'red .*\.\.\.' has the tokens \.\.\. red .* Red .* \.\.\., and from"
    ):
        check_same_tokens(folder, [long], cause="chance")


@pytest.mark.parametrize("kind", ["BertTokenizer", "PreTrainedTokenizerFast"])
def test_where_transformers_gives_no_token_types_all_are_0(kind, folder):
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    BertWordPieceTokenizer(vocabulary).save(str(folder / "tokenizer.json"))
    configure(folder, tokenizer_class=kind, model_input_names=["input_ids", "attention_mask"])
    check_sample(str(folder), SAMPLE)
    assert load_tokenizer(folder).encode("red", "house").type_ids == [0] * 5
    configure(folder, tokenizer_class=kind, model_input_names=["input_ids", "token_type_ids"])
    check_sample(str(folder), SAMPLE)
    assert load_tokenizer(folder).encode("red", "house").type_ids == [0, 0, 0, 1, 1]


def test_other_token_types_are_refused_where_the_encoder_reads_them(folder):
    known = [Tokenised(("red", "house"), [2, 5, 3, 7, 3], [0] * 5)]
    with pytest.raises(
        ValueError, match=r"has the token types \[0, 0, 0, 0, 0\], and from AutoTokenizer \[0, 0, 0, 1"
    ):
        check_same_tokens(folder, known)
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "type_vocab_size": 1}))
    check_same_tokens(folder, known)


def test_a_sample_has_the_first_the_longest_and_the_unusual_texts():
    plain = [(f"plain text {number % 10}",) for number in range(500)]
    unusual = [("CAFÉ",), ("ends with [MASK]",), ("\x00",), ("猫 is here",), ("<|end|>",)]
    long = [("text " * 5000,)]
    sample = sample_of({"train": [*plain, *long, *unusual], "test": [("only here",)]})
    assert {*unusual, *plain[:1], ("only here",)} <= set(sample)
    assert max(len(text) for texts in sample for text in texts) == MOST_CHARACTERS
    assert len(sample) <= 2 * (FIRST + LONGEST + UNUSUAL)
    assert sample == sample_of({"test": [("only here",)], "train": [*plain, *long, *unusual]})


def test_a_sample_comes_back_as_it_was_written(folder):
    known = tokenised(SAMPLE, load_tokenizer(folder))
    assert known[1] == Tokenised(SAMPLE[1], [2, 5, 7, 3, 8, 5, 3], [0, 0, 0, 0, 1, 1, 1])
    write_sample(folder, known)
    assert read_sample(folder) == known
    (folder / "sample.json").unlink()
    with pytest.raises(ValueError, match="has no sample.json: an older version"):
        read_sample(folder)
