import os
from pathlib import Path

import pytest

from layerscope.jobs.text.tokenising.special_tokens import frame_of
from layerscope.jobs.text.tokenising.text_windows import split_windows
from layerscope.jobs.text.tokenising.tokenizer import load_tokenizer
from layerscope.jobs.text.tokenising.truncation import any_exceeds, encode, longest_first

SHARED = Path(os.environ.get("LAYERSCOPE_SHARED", Path(__file__).parents[4] / "../shared")).resolve()
NUM_SPECIAL = {"bert-base-uncased": 3, "roberta-base": 4, "albert-base-v2": 3, "babyberta": 4}
FIRST = ["Is it?", "a b c " * 30, "naïve CAFÉ, 東京", "x " * 40, "", " spaced  out ", "same " * 25]
SECOND = ["It is, he said.", "short one", "d e f " * 50, "y " * 90, "no first", "🙂🙃" * 12, "same " * 25]


@pytest.fixture(scope="module", params=list(NUM_SPECIAL))
def family(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def folder(family) -> Path:
    folder = SHARED / "models" / f"tokenizer-{family}"
    if not folder.is_dir():
        pytest.skip(f"no shared tokenizers in {SHARED}")
    return folder


@pytest.fixture(scope="module")
def tokenizer(folder):
    return load_tokenizer(folder)


@pytest.fixture(scope="module")
def theirs(folder):
    """Another one, which tests tell how to cut."""
    return load_tokenizer(folder)


def test_pairs_are_encoded_as_by_the_tokenizer_itself(tokenizer, family):
    encoded = encode(FIRST, tokenizer, strategy="whole", max_length=None, pairs=SECOND)
    theirs = [tokenizer.encode(*pair) for pair in zip(FIRST, SECOND, strict=True)]
    assert encoded.input_ids == [one.ids for one in theirs]
    assert encoded.type_ids == [one.type_ids for one in theirs]
    assert encoded.tokens_lost == 0
    assert frame_of(tokenizer, num_parts=2).num_special == NUM_SPECIAL[family]
    assert frame_of(tokenizer, num_parts=1).num_special == 2


@pytest.mark.parametrize("name", ["bert-base-uncased", "roberta-base"])
def test_pairs_are_those_of_transformers(name):
    from transformers import AutoTokenizer

    folder = SHARED / "models" / f"tokenizer-{name}"
    if not folder.is_dir():
        pytest.skip(f"no shared tokenizers in {SHARED}")
    theirs = AutoTokenizer.from_pretrained(folder, model_max_length=10**6)(FIRST, SECOND)
    ours = encode(FIRST, load_tokenizer(folder), strategy="whole", max_length=None, pairs=SECOND)
    assert ours.input_ids == theirs["input_ids"]
    if "token_type_ids" in theirs:
        assert ours.type_ids == theirs["token_type_ids"]


@pytest.mark.parametrize(("strategy", "direction"), [("head", "right"), ("tail", "left")])
@pytest.mark.parametrize("max_length", [16, 33, 64])
def test_the_longer_text_is_cut_first_as_by_hugging_face(tokenizer, theirs, strategy, direction, max_length):
    theirs.enable_truncation(max_length, strategy="longest_first", direction=direction)
    encoded = encode(FIRST, tokenizer, strategy=strategy, max_length=max_length, pairs=SECOND)
    expected = [theirs.encode(*pair).ids for pair in zip(FIRST, SECOND, strict=True)]
    assert encoded.input_ids == expected
    whole = [len(tokenizer.encode(*pair).ids) for pair in zip(FIRST, SECOND, strict=True)]
    assert encoded.num_cut == sum(length > max_length for length in whole) > 0
    assert encoded.tokens_lost == sum(max(0, length - max_length) for length in whole)


def slow_cut(body, keep, strategy):
    body = list(body)
    head = -(-keep // 4) if strategy == "head+tail" else -(-keep // 2)
    while len(body) > keep:
        body.pop(head)
    return body


@pytest.mark.parametrize("strategy", ["head+tail", "middle"])
@pytest.mark.parametrize("max_length", [16, 33])
def test_both_ends_of_each_text_are_those_of_the_full_encoding(tokenizer, strategy, max_length):
    encoded = encode(FIRST, tokenizer, strategy=strategy, max_length=max_length, pairs=SECOND)
    for position, pair in enumerate(zip(FIRST, SECOND, strict=True)):
        whole = tokenizer.encode(*pair)
        part_of = whole.sequence_ids
        bodies = [
            [token for token, part in zip(whole.ids, part_of, strict=True) if part == n] for n in (0, 1)
        ]
        budget = max_length - (len(whole.ids) - sum(map(len, bodies)))
        shares = longest_first(*map(len, bodies), budget=budget)
        kept = [slow_cut(body, share, strategy) for body, share in zip(bodies, shares, strict=True)]
        assert encoded.input_ids[position] == frame_of(tokenizer, num_parts=2).ids(kept)


def test_the_longer_text_gives_first_and_then_both():
    assert longest_first(3, 4, budget=7) == (3, 4)
    assert longest_first(3, 20, budget=10) == (3, 7)
    assert longest_first(20, 3, budget=10) == (7, 3)
    assert longest_first(20, 30, budget=11) == (5, 6)
    assert longest_first(30, 20, budget=11) == (6, 5)
    assert longest_first(20, 20, budget=11) == (5, 6)


def test_head_tokens_leave_a_token_for_the_tail_of_a_short_share(tokenizer):
    encoded = encode(
        ["a " * 50], tokenizer, strategy="head+tail", max_length=16, head_tokens=14, pairs=["b " * 50]
    )
    assert len(encoded.input_ids[0]) == 16


def test_any_exceeds_is_exact_at_the_longest_pair(tokenizer):
    longest = max(len(tokenizer.encode(*pair).ids) for pair in zip(FIRST, SECOND, strict=True))
    assert any_exceeds(FIRST, tokenizer, longest - 1, pairs=SECOND)
    assert not any_exceeds(FIRST, tokenizer, longest, pairs=SECOND)
    # Every text by itself is shorter.
    assert not any_exceeds([*FIRST, *SECOND], tokenizer, longest - 1)


def test_windows_of_pairs_hold_the_first_text_whole(tokenizer):
    first, second = "who is it", "one two three four five six " * 12
    encoded = encode(
        [first, first], tokenizer, strategy="windows", max_length=32, pairs=[second, "he"], max_windows=99
    )
    frame = frame_of(tokenizer, num_parts=2)
    bodies = [tokenizer.encode(text, add_special_tokens=False).ids for text in (first, second)]
    start = len(frame.special[0]) + len(bodies[0]) + len(frame.special[1])
    windows = list(split_windows(encoded.input_ids[0], encoded.window_lengths[0]))
    found = [window[start : len(window) - len(frame.special[2])] for window in windows]
    assert [token for part in found for token in part] == bodies[1]
    assert {tuple(window[:start]) for window in windows} == {
        (*frame.special[0], *bodies[0], *frame.special[1])
    }
    assert len(windows) >= 3
    assert encoded.input_ids[1] == tokenizer.encode(first, "he").ids
    types = list(split_windows(encoded.type_ids[0], encoded.window_lengths[0]))
    assert [len(window) for window in types] == encoded.window_lengths[0]
