"""What reads the encoder's last layer: pooling and a linear classifier.

Axes: B texts, T tokens, D features, K labels.
"""

import torch
from torch import nn
from transformers import PreTrainedModel

from jobs.specs.recipe import Pooling


def pool(hidden_BTD: torch.Tensor, mask_BT: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """One vector a text (B, D): the first token's, or the mean over the tokens that are not padding."""
    if pooling == "cls":
        return hidden_BTD[:, 0]
    weight_BT1 = mask_BT.unsqueeze(-1).to(hidden_BTD.dtype)
    return (hidden_BTD * weight_BT1).sum(1) / weight_BT1.sum(1)


class Classifier(nn.Module):
    """An encoder with dropout and a linear head over its pooled last layer."""

    def __init__(self, encoder: PreTrainedModel, *, num_labels: int, pooling: Pooling) -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling = pooling
        self.dropout = nn.Dropout(getattr(encoder.config, "hidden_dropout_prob", 0.1))
        self.head = nn.Linear(encoder.config.hidden_size, num_labels)
        nn.init.normal_(self.head.weight, std=getattr(encoder.config, "initializer_range", 0.02))
        nn.init.zeros_(self.head.bias)

    def forward(self, ids_BT: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        """Logits (B, K)."""
        hidden_BTD = self.encoder(input_ids=ids_BT, attention_mask=mask_BT).last_hidden_state
        return self.head(self.dropout(pool(hidden_BTD, mask_BT, self.pooling)))
