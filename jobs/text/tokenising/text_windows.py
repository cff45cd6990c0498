"""Windows over a long text, from its beginning (Sun et al. 2019, 5.3.1, "hierarchical methods")."""

from collections.abc import Iterator, Sequence

LEAST_NEW_TOKENS = 8
"""Minimum new tokens of a pair's second text in every window; the first text is in every window in full."""


def windows_of(length: int, *, budget: int, overlap: int, most: int) -> list[range]:
    """Positions of each window of a body: without overlap, each position once.

    Args:
        budget: Positions of one window; the last window may be shorter.
        overlap: Positions that a window shares with the one before it.
        most: Maximum number of windows; the first ones are kept.

    Raises:
        ValueError: the overlap leaves no new positions in a window.
    """
    if overlap >= budget:
        raise ValueError(
            f"window_overlap {overlap} leaves nothing new in a window: "
            f"it has {budget} tokens besides the special ones"
        )
    starts = range(0, max(1, length - overlap), budget - overlap)
    return [range(start, min(start + budget, length)) for start in starts[:most]]


def part_windows(
    parts: Sequence[Sequence[int]], *, budget: int, overlap: int, most: int
) -> tuple[list[tuple[Sequence[int], ...]], int]:
    """The parts of each window, and the number of tokens in no window.

    The first text of a pair is in every window in full, and the windows move over the second.

    Raises:
        ValueError: as in `windows_of`, or the first text of a pair leaves too little room for the second.
    """
    *whole, body = parts
    if sum(map(len, parts)) <= budget:
        return [tuple(parts)], 0
    room = budget - sum(map(len, whole))
    if whole and is_crowded(room, overlap=overlap):
        raise ValueError(
            f"the first text of a pair has {len(whole[0])} tokens, so that a window of {budget} besides the "
            f"special ones has {max(0, room - overlap)} new ones of the second: at least {LEAST_NEW_TOKENS} "
            "are needed"
        )
    spans = windows_of(len(body), budget=room, overlap=overlap, most=most)
    return [(*whole, body[span.start : span.stop]) for span in spans], len(body) - spans[-1].stop


def is_crowded(room: int, *, overlap: int) -> bool:
    """Whether a window has too little room for a pair's second text."""
    return room - overlap < LEAST_NEW_TOKENS


def split_windows(ids: Sequence[int], lengths: Sequence[int]) -> Iterator[Sequence[int]]:
    """Split the concatenated windows of a text."""
    start = 0
    for length in lengths:
        yield ids[start : start + length]
        start += length
