import os
import time
from pathlib import Path

import pytest

from layerscope.jobs.text.reading.corpora import read_rows
from layerscope.jobs.text.tokenising.special_tokens import frame_of
from layerscope.jobs.text.tokenising.tokenizer import load_tokenizer
from layerscope.jobs.text.tokenising.truncation import any_exceeds, count_tokens, cut, encode, token_budget

SHARED = Path(os.environ.get("LAYERSCOPE_SHARED", Path(__file__).parents[4] / "../shared")).resolve()
FAMILIES = ["bert-base-uncased", "roberta-base", "albert-base-v2", "babyberta"]
ODD_TEXTS = [
    "",
    "  spaced \t out\n text  ",
    "naïve CAFÉ, 東京 and 한국어!",
    "[SEP] [CLS] </s> <s> [MASK]",
    "ﷺ ﷺ ﷺﷺﷺﷺ",
    "x y z " * 60,
    "🙂🙃" * 40,
    "don't ``quote'' … ½ ㎏ İİİİ",
    "a\u0301\u0323" * 30,
]


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request) -> Path:
    folder = SHARED / "models" / f"tokenizer-{request.param}"
    if not folder.is_dir():
        pytest.skip(f"no shared tokenizers in {SHARED}")
    return folder


@pytest.fixture(scope="module")
def tokenizer(folder):
    return load_tokenizer(folder)


@pytest.fixture(scope="module")
def texts():
    path = SHARED / "data" / "imdb" / "train.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"no shared data in {SHARED}")
    return [row.text for row in read_rows(path)[:40]] + ODD_TEXTS


def slow_encode(text, tokenizer, strategy, max_length):
    """One text at a time, by the special tokens' own mask."""
    encoding = tokenizer.encode(text)
    special = [position for position, is_special in enumerate(encoding.special_tokens_mask) if is_special]
    body = [
        id
        for id, is_special in zip(encoding.ids, encoding.special_tokens_mask, strict=True)
        if not is_special
    ]
    keep = max_length - len(special)
    while len(body) > keep:
        match strategy:
            case "head":
                body.pop()
            case "tail":
                body.pop(0)
            case "head+tail":
                body.pop((keep + 3) // 4)
    return [encoding.ids[0], *body, encoding.ids[-1]]


@pytest.mark.parametrize("strategy", ["head", "tail", "head+tail"])
@pytest.mark.parametrize("max_length", [32, 129])
def test_every_family_is_cut_as_by_the_slow_obvious_version(tokenizer, texts, strategy, max_length):
    encoded = encode(texts, tokenizer, strategy=strategy, max_length=max_length)
    assert encoded.input_ids == [slow_encode(text, tokenizer, strategy, max_length) for text in texts]
    whole = [len(tokenizer.encode(text).ids) for text in texts]
    assert encoded.num_cut == sum(length > max_length for length in whole)
    assert encoded.tokens_lost == sum(max(0, length - max_length) for length in whole)
    assert 0 < encoded.num_cut < len(texts)


def test_whole_texts_lose_nothing(tokenizer, texts):
    encoded = encode(texts, tokenizer, strategy="whole", max_length=None)
    assert encoded.input_ids == [tokenizer.encode(text).ids for text in texts]
    assert encoded.num_cut == encoded.tokens_lost == 0


def test_ids_are_those_of_transformers(folder, texts):
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(folder, model_max_length=10**6)
    ours = encode(texts, load_tokenizer(folder), strategy="whole", max_length=None)
    assert ours.input_ids == theirs(texts)["input_ids"]


def test_the_bound_on_tokens_holds(tokenizer, texts):
    unlimited = {"limit": 10**9, "enough": 10**9}
    excess = [
        len(tokenizer.encode(text).ids) - count_tokens([text], tokenizer, **unlimited)
        for text in texts + [letter for text in texts for letter in set(text)]
    ]
    assert max(excess) <= 0


def test_any_exceeds_is_exact_at_the_longest_text(tokenizer, texts):
    longest = max(len(tokenizer.encode(text).ids) for text in texts)
    assert any_exceeds(texts, tokenizer, longest - 1)
    assert not any_exceeds(texts, tokenizer, longest)


def test_short_texts_are_not_even_tokenized(tokenizer):
    texts = ["Who was the first man on the moon ?"] * 20_000
    start = time.perf_counter()
    assert not any_exceeds(texts, tokenizer, 128)
    # Tokenizing them takes ten times as long.
    assert time.perf_counter() - start < 0.5


def test_the_papers_split_is_128_and_382_of_510():
    ids = list(range(1000))
    assert token_budget(512, num_special=2) == 510
    assert cut(ids, budget=510, strategy="head+tail") == ids[:128] + ids[-382:]
    assert cut(ids, budget=510, strategy="head+tail", head_tokens=100) == ids[:100] + ids[-410:]
    assert cut(ids, budget=510, strategy="head") == ids[:510]
    assert cut(ids, budget=510, strategy="tail") == ids[-510:]
    assert cut(ids[:510], budget=510, strategy="tail") == ids[:510]


def test_what_leaves_no_tokens_is_refused():
    with pytest.raises(ValueError, match="head_tokens 20 leaves nothing for the tail: a text has 20 tokens"):
        cut(range(30), budget=20, strategy="head+tail", head_tokens=20)
    with pytest.raises(ValueError, match="max_length 2 leaves no room"):
        token_budget(2, num_special=2)
    with pytest.raises(ValueError, match="there is none"):
        token_budget(None, num_special=2)


def tiny_wordpiece(folder: Path, **settings) -> Path:
    import json

    settings["tokenizer_class"] = "BertTokenizer"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "Hello", "a"]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


@pytest.mark.parametrize(("lower", "id"), [(True, 5), (False, 6)])
def test_a_vocabulary_alone_is_loaded_with_its_casing(lower, id, tmp_path):
    tokenizer = load_tokenizer(tiny_wordpiece(tmp_path, do_lower_case=lower))
    assert tokenizer.encode("Hello").ids == [2, id, 3]
    assert frame_of(tokenizer, num_parts=1).special == ((2,), (3,))


def test_cutting_and_padding_asked_for_by_the_file_are_switched_off(tmp_path):
    tokenizer = load_tokenizer(tiny_wordpiece(tmp_path))
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=9)
    with pytest.raises(AssertionError, match="switches both off"):
        encode(["a"], tokenizer, strategy="whole", max_length=None)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert load_tokenizer(tmp_path).encode("a a a a a").ids == [2, 7, 7, 7, 7, 7, 3]
