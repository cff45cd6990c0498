"""Inputs of an encoder: one padded batch of the windows of some texts.

Axes: B texts, W windows of all texts (W = B without windows), T tokens.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from layerscope.jobs.artifacts.tokenised import Span, Split
from layerscope.jobs.text.tokenising.batches import pad
from layerscope.jobs.text.tokenising.text_windows import split_windows

if TYPE_CHECKING:
    import torch


class Inputs(NamedTuple):
    """The arguments of a classifier, in its order."""

    ids_WT: "torch.Tensor"
    mask_WT: "torch.Tensor"
    """1 on tokens, 0 on padding."""
    types_WT: "torch.Tensor | None" = None
    """Token types of pairs."""
    num_windows_B: tuple[int, ...] | None = None
    """Number of consecutive windows of each text; None if a text is one sequence."""
    spans_B: tuple[tuple[tuple[Span, ...], ...], ...] | None = None
    """The tokens of each labelled span of each text; None if texts are labelled as a whole."""

    def to(self, device: "torch.device | str") -> "Inputs":
        """Move the tensors to a device."""
        types_WT = None if self.types_WT is None else self.types_WT.to(device)
        return self._replace(
            ids_WT=self.ids_WT.to(device), mask_WT=self.mask_WT.to(device), types_WT=types_WT
        )


def inputs_of(split: Split, pad_id: int) -> Inputs:
    """All rows of a split as one batch."""
    ids_WT, mask_WT = pad(_windows(split.texts, split.window_lengths), pad_id)
    types_WT = None if split.type_ids is None else pad(_windows(split.type_ids, split.window_lengths), 0)[0]
    counts = None if split.window_lengths is None else tuple(map(len, split.window_lengths))
    spans_B = None if split.spans is None else tuple(map(tuple, split.spans))
    return Inputs(ids_WT, mask_WT, types_WT, counts, spans_B)


def groups_of_rows(split: Split, rows: Sequence[int], *, most_windows: int) -> Iterator[list[int]]:
    """The rows in order, in groups of at most `most_windows` windows; a text with more is a group of its
    own."""
    group: list[int] = []
    total = 0
    for row in rows:
        count = 1 if split.window_lengths is None else len(split.window_lengths[row])
        if group and total + count > most_windows:
            yield group
            group, total = [], 0
        group.append(row)
        total += count
    if group:
        yield group


def _windows(
    texts: Sequence[Sequence[int]], window_lengths: Sequence[Sequence[int]] | None
) -> list[Sequence[int]]:
    if window_lengths is None:
        return list(texts)
    return [
        window
        for ids, lengths in zip(texts, window_lengths, strict=True)
        for window in split_windows(ids, lengths)
    ]
