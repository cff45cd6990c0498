"""Heads on an encoder's layers: pooling and a linear classifier.

Axes: B texts, W windows of all texts (W = B without windows), T tokens, U labelled spans (units) of all texts
(U = B if texts are labelled as a whole), D features of a layer, F features that the classifier reads,
K labels.
"""

from typing import assert_never

import torch
from torch import nn
from transformers import PreTrainedModel

from layerscope.jobs.artifacts.tokenised import Span
from layerscope.jobs.encoders.architecture import keep_layers, takes_token_types
from layerscope.jobs.encoders.layout import layer_states
from layerscope.jobs.encoders.spans import slots_of, span_means, units_of
from layerscope.jobs.encoders.windows import (
    WindowAttention,
    logits_of_choices,
    max_of_windows,
    mean_of_windows,
    vote_of_windows,
)
from layerscope.jobs.specs.layers import Layers, layers_read
from layerscope.jobs.specs.recipe import LayerPooling, Pooling, TokenPooling, WindowPooling


def pool(hidden_BTD: torch.Tensor, mask_BT: torch.Tensor, pooling: TokenPooling) -> torch.Tensor:
    """One vector per text (B, D): that of the first token, of the last token, or the mean over all tokens.

    Padding is on the right, and is masked.
    """
    match pooling:
        case "cls":
            return hidden_BTD[:, 0]
        case "last":
            last_B = mask_BT.sum(1) - 1
            return hidden_BTD[torch.arange(len(hidden_BTD), device=hidden_BTD.device), last_B]
        case "mean":
            weight_BT1 = mask_BT.unsqueeze(-1).to(hidden_BTD.dtype)
            return (hidden_BTD * weight_BT1).sum(1) / weight_BT1.sum(1)
        case never:
            assert_never(never)


class Classifier(nn.Module):
    """An encoder truncated above the layers that are read, with pooling, dropout and a linear head.

    Tokens are pooled in each layer, then the layers, then the windows of a text. For labelled spans, the
    tokens of each span are pooled separately.
    """

    def __init__(
        self,
        encoder: PreTrainedModel,
        *,
        num_labels: int,
        pooling: Pooling,
        layers: Layers = "last",
        layer_pooling: LayerPooling | None = None,
        window_pooling: WindowPooling | None = None,
        num_spans: int | None = None,
        num_choices: int | None = None,
        judges_choices: bool = False,
    ) -> None:
        """Randomly initialises everything but the encoder.

        Args:
            num_labels: Logits per text or unit; 1 for a number or the score of a choice.
            num_spans: Number of spans of a unit, if labelled spans are classified.
            num_choices: Largest number of choices of a text; its windows are its choices.
            judges_choices: Whether each choice is classified as right or wrong, instead of choosing the best.
        """
        super().__init__()
        config = encoder.config
        self.layers = layers_read(layers, config.num_hidden_layers)
        keep_layers(encoder, self.layers[-1])
        self.encoder = encoder
        self.pooling, self.window_pooling = pooling, window_pooling
        self.layer_pooling = layer_pooling or "concat"
        self.num_spans, self.num_choices, self.judges_choices = num_spans, num_choices, judges_choices
        self._takes_token_types = takes_token_types(encoder)
        self.dropout = nn.Dropout(getattr(config, "hidden_dropout_prob", 0.1))
        std = getattr(config, "initializer_range", 0.02)
        width = config.hidden_size * (num_spans or 1)
        width *= len(self.layers) if self.layer_pooling == "concat" else 1
        # A constant added to the logit of every choice does not change the softmax over choices.
        self.head = nn.Linear(width, num_labels, bias=num_choices is None or judges_choices)
        nn.init.normal_(self.head.weight, std=std)
        if self.head.bias is not None:
            nn.init.zeros_(self.head.bias)
        self.pooler = nn.Linear(config.hidden_size, config.hidden_size) if pooling == "pooler" else None
        self.attention = WindowAttention(width) if window_pooling == "attention" else None

    def head_parts(self) -> nn.Module:
        """Everything but the encoder: the linear classifier, and other parts below it by name."""
        parts = {"pooler": self.pooler, "attention": self.attention}
        below: dict[str, nn.Module] = {name: part for name, part in parts.items() if part is not None}
        return nn.ModuleDict({"classifier": self.head} | below) if below else self.head

    def forward(
        self,
        ids_WT: torch.Tensor,
        mask_WT: torch.Tensor,
        types_WT: torch.Tensor | None = None,
        num_windows_B: tuple[int, ...] | None = None,
        spans_B: tuple[tuple[tuple[Span, ...], ...], ...] | None = None,
    ) -> torch.Tensor:
        """Logits (U, K); the arguments are those of `jobs.text.tokenising.inputs.Inputs`."""
        if self.num_spans is not None:
            assert spans_B is not None, "units have spans"
            slots = slots_of(units_of(spans_B), num_tokens=ids_WT.shape[1], device=ids_WT.device)
            layers = [span_means(state, slots) for state in self._states(ids_WT, mask_WT, types_WT)]
            return self._logits(_pool_layers(layers, self.layer_pooling))
        vectors_WF = self._vectors(ids_WT, mask_WT, types_WT)
        if self.num_choices is not None:
            assert num_windows_B is not None, "the windows of a text are its choices"
            return logits_of_choices(self._logits(vectors_WF), num_windows_B, self.num_choices)
        if self.window_pooling is None:
            assert num_windows_B is None, "a text is one sequence where nothing pools windows"
            return self._logits(vectors_WF)
        counts = num_windows_B or (1,) * len(vectors_WF)
        match self.window_pooling:
            case "mean":
                return self._logits(mean_of_windows(vectors_WF, counts))
            case "max":
                return self._logits(max_of_windows(vectors_WF, counts))
            case "attention":
                assert self.attention is not None, "made where it pools windows"
                return self._logits(self.attention(vectors_WF, counts))
            case "vote" if not self.training:
                return vote_of_windows(self.head(vectors_WF), counts)
            case "logits" | "vote":
                return mean_of_windows(self._logits(vectors_WF), counts)
            case never:
                assert_never(never)

    def _logits(self, vectors_UF: torch.Tensor) -> torch.Tensor:
        """Logits (U, K)."""
        logits_UK: torch.Tensor = self.head(self.dropout(vectors_UF))
        return logits_UK

    def _states(
        self, ids_WT: torch.Tensor, mask_WT: torch.Tensor, types_WT: torch.Tensor | None
    ) -> list[torch.Tensor]:
        """States of the layers that are read (W, T, D)."""
        reads_many = len(self.layers) > 1
        options: dict[str, object] = {"output_hidden_states": True} if reads_many else {}
        if types_WT is not None and self._takes_token_types:
            options["token_type_ids"] = types_WT
        output = self.encoder(input_ids=ids_WT, attention_mask=mask_WT, **options)
        if not reads_many:
            return [output.last_hidden_state]
        states = layer_states(self.encoder, output)
        return [states[layer] for layer in self.layers]

    def _vectors(
        self, ids_WT: torch.Tensor, mask_WT: torch.Tensor, types_WT: torch.Tensor | None
    ) -> torch.Tensor:
        """Pooled vectors that the classifier reads (W, F)."""
        states = self._states(ids_WT, mask_WT, types_WT)
        if self.pooling == "pooler":
            assert self.pooler is not None, "made where it pools"
            return torch.tanh(self.pooler(pool(states[0], mask_WT, "cls")))
        return _pool_layers([pool(state, mask_WT, self.pooling) for state in states], self.layer_pooling)


def _pool_layers(layers: list[torch.Tensor], pooling: LayerPooling) -> torch.Tensor:
    """Pool one vector per layer, (W, D) each, to one vector (W, F)."""
    match pooling:
        case "concat":
            return torch.cat(layers, dim=-1)
        case "mean":
            return torch.stack(layers).mean(dim=0)
        case "max":
            return torch.stack(layers).amax(dim=0)
        case never:
            assert_never(never)
