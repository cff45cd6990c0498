"""States of labelled spans (units): the mean over the tokens of a span, concatenated for a pair of spans.

As in Zhou and Srikumar 2022, section 3. Axes: U units, B sentences, T tokens, D features.
"""

from collections.abc import Sequence

import torch

from layerscope.jobs.artifacts.tokenised import Span

Unit = tuple[int, tuple[Span, ...]]
"""Position of the sentence in the batch, and one or two spans of tokens."""
Slots = list[tuple[torch.Tensor, torch.Tensor]]
"""For the units' first spans, and for their second spans: the position of every token in the flattened batch,
and the index of its unit."""


def slots_of(units: Sequence[Unit], *, num_tokens: int, device: torch.device | str) -> Slots:
    """Positions of the units' tokens in a batch padded to `num_tokens`; all units have as many spans."""
    by_slot = zip(*([(sentence, *span) for span in spans] for sentence, spans in units), strict=True)
    return [_tokens(spans, num_tokens, device) for spans in by_slot]


def units_of(spans_by_sentence: Sequence[Sequence[tuple[Span, ...]]]) -> list[Unit]:
    """The units of a batch, in the order of its sentences."""
    return [(row, spans) for row, of in enumerate(spans_by_sentence) for spans in of]


def span_means(hidden_BTD: torch.Tensor, slots: Slots) -> torch.Tensor:
    """The state of each unit: (U, D), or (U, 2 D) for pairs of spans."""
    flat_ND = hidden_BTD.flatten(0, 1)
    return torch.cat([_averages(flat_ND, *tokens) for tokens in slots], dim=1)


def _tokens(
    spans: Sequence[tuple[int, int, int]], num_tokens: int, device: torch.device | str
) -> tuple[torch.Tensor, torch.Tensor]:
    """For every token of a span (sentence, first, end): its row in the flat states, and the span's index."""
    places = [
        (sentence * num_tokens + at, row)
        for row, (sentence, *ends) in enumerate(spans)
        for at in range(*ends)
    ]
    token_N, span_N = torch.tensor(places, device=device).T
    return token_N, span_N


def _averages(flat_ND: torch.Tensor, token_N: torch.Tensor, span_N: torch.Tensor) -> torch.Tensor:
    """The mean state of each span (U, D)."""
    size_U = torch.bincount(span_N)
    sum_UD = flat_ND.new_zeros(len(size_U), flat_ND.shape[1]).index_add(0, span_N, flat_ND[token_N])
    return sum_UD / size_U.unsqueeze(1)
