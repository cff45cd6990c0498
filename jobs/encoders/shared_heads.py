"""One encoder under the linear heads of several tasks.

Axes: B texts, T tokens, D features, K labels.
"""

from collections.abc import Sequence

import torch
from torch import nn
from transformers import PreTrainedModel

from layerscope.jobs.encoders.architecture import takes_token_types
from layerscope.jobs.encoders.heads import pool
from layerscope.jobs.specs.recipe import TokenPooling


class SharedEncoder(nn.Module):
    """An encoder with dropout, and a linear head for each task over its pooled last layer."""

    def __init__(self, encoder: PreTrainedModel, *, num_labels: Sequence[int], pooling: TokenPooling) -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling = pooling
        self._takes_token_types = takes_token_types(encoder)
        self.dropout = nn.Dropout(getattr(encoder.config, "hidden_dropout_prob", 0.1))
        heads = [nn.Linear(encoder.config.hidden_size, number) for number in num_labels]
        self.heads = nn.ModuleList(heads)
        for head in heads:
            nn.init.normal_(head.weight, std=getattr(encoder.config, "initializer_range", 0.02))
            nn.init.zeros_(head.bias)

    def forward(
        self,
        ids_BT: torch.Tensor,
        mask_BT: torch.Tensor,
        types_BT: torch.Tensor | None = None,
        *,
        task: int,
    ) -> torch.Tensor:
        """Logits (B, K) of one task; token types of pairs are passed only to an encoder that has them."""
        options = {}
        if types_BT is not None and self._takes_token_types:
            options["token_type_ids"] = types_BT
        hidden_BTD = self.encoder(input_ids=ids_BT, attention_mask=mask_BT, **options).last_hidden_state
        vectors_BD = self.dropout(pool(hidden_BTD, mask_BT, self.pooling))
        logits_BK: torch.Tensor = self.heads[task](vectors_BD)
        if not self.training:
            return logits_BK
        # Data-parallel training waits for a gradient of every parameter, so the other heads get zero
        # gradients.
        others = [head for position, head in enumerate(self.heads) if position != task]
        nothing = sum(parameter.sum() for head in others for parameter in head.parameters())
        return logits_BK + 0.0 * nothing
