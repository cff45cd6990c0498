"""Losses of continued pretraining: masked language modelling and next-sentence prediction.

Axes: B texts, T tokens, M masked tokens, V vocabulary, L losses.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel


class PretrainingLosses(nn.Module):
    """Cross-entropies of the model's own heads; the vocabulary is scored at masked positions only.

    The token head gets those positions as one text, because it processes each position separately.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The mean loss over the masked tokens, 0 where there is none; and, where the batch has
        `next_sentence_label` (B), the mean loss over the pairs besides (L)."""
        labels_BT = batch["labels"]
        chosen_BT = labels_BT != -100

        def keep_chosen(encoder: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
            output.last_hidden_state = output.last_hidden_state[chosen_BT].unsqueeze(0)
            return output

        inputs = {
            name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids") if name in batch
        }
        with self.model.base_model.register_forward_hook(keep_chosen):
            output = self.model(**inputs)
        if "next_sentence_label" not in batch:
            return _of_tokens(output.logits, labels_BT[chosen_BT]).unsqueeze(0)
        return torch.stack(
            [
                _of_tokens(output.prediction_logits, labels_BT[chosen_BT]),
                nn.functional.cross_entropy(
                    output.seq_relationship_logits.float(), batch["next_sentence_label"]
                ),
            ]
        )


def _of_tokens(logits_1MV: torch.Tensor, labels_M: torch.Tensor) -> torch.Tensor:
    total = nn.functional.cross_entropy(logits_1MV[0].float(), labels_M, reduction="sum")
    return total / max(1, len(labels_M))


def rows_of(batch: Mapping[str, torch.Tensor], rows: Sequence[int]) -> dict[str, torch.Tensor]:
    """Some rows of every tensor of a batch."""
    return {name: values[list(rows)] for name, values in batch.items()}


def counts(batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """What each of the losses is a mean over (L): masked tokens, and pairs where there are pairs."""
    pairs = [len(batch["input_ids"])] if "next_sentence_label" in batch else []
    return torch.tensor([int((batch["labels"] != -100).sum()), *pairs], dtype=torch.float32)
