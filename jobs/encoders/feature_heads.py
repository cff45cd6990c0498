"""Heads for training on the token states of a frozen encoder.

Axes: B texts, T tokens, D features, H states of both directions, K labels.
"""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from layerscope.jobs.encoders.heads import pool
from layerscope.jobs.specs.features import FeatureHeadSpec
from layerscope.jobs.specs.recipe import TokenPooling


def make_head(spec: FeatureHeadSpec, *, width: int, num_labels: int, dropout: float) -> nn.Module:
    """A module from states (B, T, D) and a mask (B, T) to logits (B, K)."""
    if spec.head == "bilstm":
        return BilstmHead(width, hidden=spec.head_hidden, num_labels=num_labels, dropout=dropout)
    pooling = spec.training.pooling
    assert pooling != "pooler", "frozen features have no pooler"
    return LinearHead(width, num_labels=num_labels, pooling=pooling, dropout=dropout)


class LinearHead(nn.Module):
    """A linear classifier over pooled token states."""

    def __init__(self, width: int, *, num_labels: int, pooling: TokenPooling, dropout: float) -> None:
        super().__init__()
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(width, num_labels)

    def forward(self, states_BTD: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        """Logits (B, K)."""
        logits_BK: torch.Tensor = self.classifier(self.dropout(pool(states_BTD, mask_BT, self.pooling)))
        return logits_BK


class BilstmHead(nn.Module):
    """A bidirectional LSTM, additive self-attention over its states (Lin et al. 2017, eq. 5), classifier."""

    def __init__(self, width: int, *, hidden: int, num_labels: int, dropout: float) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width, hidden, batch_first=True, bidirectional=True)
        self.attention = nn.Linear(2 * hidden, hidden, bias=False)
        self.context = nn.Linear(hidden, 1, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(2 * hidden, num_labels)

    def forward(self, states_BTD: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        """Logits (B, K)."""
        lengths_B = mask_BT.sum(1).cpu()
        packed = pack_padded_sequence(states_BTD, lengths_B, batch_first=True, enforce_sorted=False)
        hidden_BTH, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        score_BT = self.context(torch.tanh(self.attention(hidden_BTH))).squeeze(-1)
        weight_BT = score_BT.masked_fill(mask_BT == 0, -torch.inf).softmax(1)
        vectors_BH = self.dropout(torch.einsum("bt,bth->bh", weight_BT, hidden_BTH))
        logits_BK: torch.Tensor = self.classifier(vectors_BH)
        return logits_BK
