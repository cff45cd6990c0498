"""Tokenizers that cannot be used, or do not frame texts as a recipe needs, are refused by the plan."""

import json

import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import Whitespace

from layerscope.jobs.text.tokenising import same_tokens
from layerscope.jobs.text.tokenising.auto_tokenizer import name_class
from layerscope.orchestrator.errors import ConfigurationError
from layerscope.orchestrator.planning.checks import token_checks
from tests.orchestrator.bench import Bench


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Bench(tmp_path)


def bare(bench):
    """In place of the bench's tokenizer: single letters, and nothing around texts."""
    bench.encoder(num_hidden_layers=2, hidden_size=8)
    tokenizer = Tokenizer(BPE({letter: number for number, letter in enumerate("abcdet")}, []))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(bench.root / "encoder" / "tokenizer.json"))


def rows(bench, *odd):
    texts = ["a b", "b a", "c d", "d c", *odd]
    lines = [json.dumps({"text": text, "label": "yn"[place % 2]}) for place, text in enumerate(texts)]
    for name in ("train", "test"):
        (bench.root / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    files = {"source": "files", **{name: str(bench.root / f"{name}.jsonl") for name in ("train", "test")}}
    return [{"task": "letters", "data": files}]


def test_a_tokenizer_without_a_fast_form_is_refused_where_the_encoder_is_named(bench):
    bench.encoder()
    name_class(bench.root / "encoder", "BertJapaneseTokenizer")
    with pytest.raises(ConfigurationError, match="^encoder: .*BertJapaneseTokenizer.*MeCab"):
        bench.plan()


def test_an_encoder_among_others_is_named(bench):
    bench.encoder()
    (bench.root / "encoder").rename(bench.root / "other")
    name_class(bench.root / "other", "EsmTokenizer")
    others = {"second": {"folder": str(bench.root / "other")}}
    with pytest.raises(ConfigurationError, match=r"^encoders.second: .*EsmTokenizer"):
        bench.plan(encoders=others, grid={"encoder": ["main", "second"]})


def test_other_tokens_than_those_of_transformers_are_refused_before_anything_starts(bench, monkeypatch):
    bench.encoder()
    monkeypatch.setattr(
        same_tokens, "tokenised", lambda sample, tokenizer: [same_tokens.Tokenised(sample[0], [], None)]
    )
    with pytest.raises(ConfigurationError, match="^encoder: .*has the tokens .*, and from AutoTokenizer"):
        bench.plan()


def test_what_has_passed_is_not_looked_at_again(bench, monkeypatch):
    bench.plan()
    monkeypatch.setattr(token_checks, "call_apart", lambda *_, **__: pytest.fail("it was checked again"))
    bench.plan()


def test_the_first_token_is_no_word(bench):
    bare(bench)
    with pytest.raises(
        ConfigurationError, match=r"^pooling: .*no special token such as \[CLS\] before a text"
    ):
        bench.plan(tasks=rows(bench))
    bench.plan(tasks=rows(bench), recipe={"pooling": "mean"})
    bench.plan(tasks=rows(bench), recipe={"features": "last", "head": "bilstm"})


def test_blocks_need_special_tokens_around_texts(bench):
    bare(bench)
    pretraining = {
        "own": {"corpus": "within-task", "steps": 5},
        "unused": {"corpus": "within-task", "steps": 5},
    }
    recipe = {"pooling": "mean", "pretraining": "own"}
    with pytest.raises(ConfigurationError, match=r"(?s)^pretraining.own: .*\[CLS\] and \[SEP\](?!.*unused)"):
        bench.plan(tasks=rows(bench), recipe=recipe, pretraining=pretraining)


def test_rows_of_which_no_token_is_left_are_named_by_file_and_row(bench):
    bare(bench)
    with pytest.raises(ConfigurationError) as told:
        bench.plan(tasks=rows(bench, "xyz", "\u200b"), recipe={"pooling": "mean"})
    assert [line.split(": the tokenizer")[0] for line in str(told.value).splitlines()] == [
        f"task letters: {name}.jsonl:{row}" for name in ("train", "test") for row in (5, 6)
    ]


def test_many_such_rows_are_counted(bench):
    bare(bench)
    with pytest.raises(ConfigurationError, match="(?s)train.jsonl:5: .*and 20 more such rows$"):
        bench.plan(tasks=rows(bench, *["xyz"] * 15), recipe={"pooling": "mean"})


def test_special_tokens_around_texts_let_them_pass(bench):
    bench.plan(tasks=rows(bench, "\u200b", "\x00"))


def test_a_plan_says_what_of_the_texts_the_tokenizer_does_not_know(bench):
    """The bench's tokenizer knows one word, "a"."""
    workspace = bench.open(tasks=rows(bench))
    where = "letters: with the tokenizer of encoder, of 4 checked texts"
    told = "2 have no token but [UNK], as 'c d'; 75% of all tokens are [UNK], most in 'c d'"
    assert workspace.sources.notes[-1] == f"{where}, {told}"


def test_a_plan_is_silent_of_texts_that_the_tokenizer_knows(bench, tiny_encoder):
    data = {"source": "sample", "target": "topic", "num_train": 200, "num_test": 4}
    workspace = bench.open(
        encoder={"folder": str(tiny_encoder)},
        tasks=[{"task": "topic", "data": data}],
        recipe={"max_length": 32},
    )
    assert not [note for note in workspace.sources.notes if "tokenizer" in note]
