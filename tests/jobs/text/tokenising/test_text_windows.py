import os
from pathlib import Path

import pytest

from layerscope.jobs.text.tokenising.text_windows import part_windows, split_windows, windows_of
from layerscope.jobs.text.tokenising.tokenizer import load_tokenizer
from layerscope.jobs.text.tokenising.truncation import encode

SHARED = Path(os.environ.get("LAYERSCOPE_SHARED", Path(__file__).parents[4] / "../shared")).resolve()
FAMILIES = ["bert-base-uncased", "roberta-base", "albert-base-v2", "babyberta"]
TEXTS = ["x y z " * 60, "short", "the quick brown fox " * 31, "naïve CAFÉ, 東京 🙂 " * 9]


@pytest.fixture(scope="module", params=FAMILIES)
def tokenizer(request):
    folder = SHARED / "models" / f"tokenizer-{request.param}"
    if not folder.is_dir():
        pytest.skip(f"no shared tokenizers in {SHARED}")
    return load_tokenizer(folder)


@pytest.mark.parametrize("length", [0, 1, 9, 10, 11, 20, 21, 99])
def test_windows_cover_every_position_once(length):
    windows = windows_of(length, budget=10, overlap=0, most=100)
    assert [position for window in windows for position in window] == list(range(length))
    assert all(len(window) == 10 for window in windows[:-1])
    assert len(windows) == max(1, -(-length // 10))


@pytest.mark.parametrize("length", [0, 4, 10, 11, 17, 18, 19, 99])
@pytest.mark.parametrize("overlap", [1, 3, 9])
def test_every_window_shares_the_overlap_with_the_one_before_it_and_brings_something_new(length, overlap):
    windows = windows_of(length, budget=10, overlap=overlap, most=100)
    assert sorted(set().union(*windows)) == list(range(length))
    for before, after in zip(windows, windows[1:], strict=False):
        assert len(set(before) & set(after)) == overlap
        assert set(after) - set(before)


def test_more_windows_than_the_most_are_lost():
    parts, lost = part_windows([list(range(35))], budget=10, overlap=0, most=2)
    assert ([list(part) for (part,) in parts], lost) == ([list(range(10)), list(range(10, 20))], 15)


def test_an_overlap_as_long_as_a_window_is_refused():
    with pytest.raises(ValueError, match="window_overlap 10 leaves nothing new in a window: it has 10"):
        windows_of(30, budget=10, overlap=10, most=3)


def test_the_first_text_of_a_pair_stands_in_every_window():
    first, second = list(range(100, 104)), list(range(30))
    windows, lost = part_windows([first, second], budget=14, overlap=2, most=3)
    assert [part for part, _ in windows] == [first] * 3
    assert [list(part) for _, part in windows] == [
        list(range(10)),
        list(range(8, 18)),
        list(range(16, 26)),
    ]
    assert lost == 4


def test_a_first_text_that_leaves_too_little_room_is_refused_only_where_the_pair_is_too_long():
    first = list(range(7))
    assert part_windows([first, [1] * 7], budget=14, overlap=0, most=3)[0] == [(first, [1] * 7)]
    with pytest.raises(ValueError, match=r"has 7 tokens, .* window of 14 .* has 7 new ones .* at least 8"):
        part_windows([first, [1] * 8], budget=14, overlap=0, most=3)
    with pytest.raises(ValueError, match="has 0 new ones"):
        part_windows([[1] * 20, [1]], budget=14, overlap=0, most=3)


@pytest.mark.parametrize("overlap", [0, 5])
def test_windows_of_every_family_lie_between_its_special_tokens(tokenizer, overlap):
    encoded = encode(
        TEXTS, tokenizer, strategy="windows", max_length=32, window_overlap=overlap, max_windows=99
    )
    assert encoded.tokens_lost == encoded.num_cut == 0
    for text, ids, lengths in zip(TEXTS, encoded.input_ids, encoded.window_lengths, strict=True):
        whole = tokenizer.encode(text).ids
        windows = list(split_windows(ids, lengths))
        assert {(window[0], window[-1]) for window in windows} == {(whole[0], whole[-1])}
        assert {len(window) for window in windows[:-1]} <= {32}
        bodies = [window[1:-1] for window in windows]
        body = bodies[0] + [token for later in bodies[1:] for token in later[overlap:]]
        assert [whole[0], *body, whole[-1]] == whole


def test_tokens_that_no_window_holds_are_counted(tokenizer):
    encoded = encode(TEXTS, tokenizer, strategy="windows", max_length=32, max_windows=2)
    lost = [max(0, len(tokenizer.encode(text).ids) - 2 - 60) for text in TEXTS]
    assert (encoded.num_cut, encoded.tokens_lost) == (sum(n > 0 for n in lost), sum(lost))
    assert max(map(len, encoded.window_lengths)) == 2
    assert lost[0] > 0 == lost[1]
