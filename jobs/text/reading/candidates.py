"""The choices of rows apart: each with its text is a row of its own, as an encoder reads it."""

from collections.abc import Sequence

from layerscope.jobs.artifacts.tokenised import Split
from layerscope.jobs.text.tokenising.text_windows import split_windows


def candidates_of(split: Split) -> Split:
    """The choices of the first row, of the second, ...; their ids are `<row>:<place>`, their labels the place
    of the row's right choice."""
    window_lengths = split.window_lengths
    assert window_lengths is not None, "rows with choices hold them one after the other"

    def apart(column: Sequence[Sequence[int]]) -> list[list[int]]:
        return [
            list(part)
            for tokens, lengths in zip(column, window_lengths, strict=True)
            for part in split_windows(tokens, lengths)
        ]

    counts = [len(lengths) for lengths in window_lengths]
    return Split(
        ids=[f"{id}:{place}" for id, count in zip(split.ids, counts, strict=True) for place in range(count)],
        texts=apart(split.texts),
        labels=[label for label, count in zip(split.labels, counts, strict=True) for _ in range(count)],
        type_ids=None if split.type_ids is None else apart(split.type_ids),
    )
