"""Aggregation of the windows of a text (Sun et al. 2019, section 5.3.1, "hierarchical methods").

Axes: W windows of all texts, concatenated, B texts, M the largest number of windows of a text, F features,
K labels.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence


class WindowAttention(nn.Module):
    """A text's windows weighted by additive attention (Yang et al. 2016, equations 8 to 10)."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(num_features, num_features)
        self.score = nn.Linear(num_features, 1, bias=False)

    def forward(self, values_WF: torch.Tensor, num_windows_B: Sequence[int]) -> torch.Tensor:
        """One vector per text (B, F)."""
        values_BMF, is_window_BM1 = _by_text(values_WF, num_windows_B)
        scores_BM1: torch.Tensor = self.score(torch.tanh(self.hidden(values_BMF)))
        scores_BM1 = scores_BM1.masked_fill(~is_window_BM1, -torch.inf)
        return (scores_BM1.softmax(dim=1) * values_BMF).sum(dim=1)


def mean_of_windows(values_WF: torch.Tensor, num_windows_B: Sequence[int]) -> torch.Tensor:
    """(B, F)."""
    values_BMF, is_window_BM1 = _by_text(values_WF, num_windows_B)
    return values_BMF.sum(dim=1) / is_window_BM1.sum(dim=1)


def max_of_windows(values_WF: torch.Tensor, num_windows_B: Sequence[int]) -> torch.Tensor:
    """(B, F)."""
    values_BMF, is_window_BM1 = _by_text(values_WF, num_windows_B)
    return values_BMF.masked_fill(~is_window_BM1, -torch.inf).amax(dim=1)


def vote_of_windows(logits_WK: torch.Tensor, num_windows_B: Sequence[int]) -> torch.Tensor:
    """Logarithms (B, K) of each label's share of the votes; the majority label has the highest.

    The probabilities of the mean logits count as half a vote: they break ties, and no label has a share of 0.
    """
    votes_WK = nn.functional.one_hot(logits_WK.argmax(dim=1), logits_WK.shape[1]).to(logits_WK.dtype)
    votes_BK = _by_text(votes_WK, num_windows_B)[0].sum(dim=1)
    half_a_vote_BK = mean_of_windows(logits_WK, num_windows_B).softmax(dim=1) / 2
    all_votes_B1 = votes_BK.sum(dim=1, keepdim=True) + 0.5
    return torch.log((votes_BK + half_a_vote_BK) / all_votes_B1)


def logits_of_choices(
    logits_W1: torch.Tensor, num_windows_B: Sequence[int], num_choices: int
) -> torch.Tensor:
    """Logits (B, C) of texts whose windows are their choices; minus infinity for missing choices."""
    of_texts = logits_W1.squeeze(1).split(list(num_windows_B))
    logits_BM = pad_sequence(of_texts, batch_first=True, padding_value=-torch.inf)
    return nn.functional.pad(logits_BM, (0, num_choices - logits_BM.shape[1]), value=-torch.inf)


def _by_text(values_WF: torch.Tensor, num_windows_B: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """The windows of each text (B, M, F), padded with 0, and a mask of windows (B, M, 1)."""
    counts = list(num_windows_B)
    values_BMF = pad_sequence(values_WF.split(counts), batch_first=True)
    place_M = torch.arange(values_BMF.shape[1], device=values_WF.device)
    is_window_BM = place_M < torch.tensor(counts, device=values_WF.device).unsqueeze(1)
    return values_BMF, is_window_BM.unsqueeze(-1)
