"""A linear classifier of one layer's pooled states, read from the folder of a fine-tuning or a refit.

Axes: N texts, K labels (1 for a number or the score of a choice), D features.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from layerscope.jobs.artifacts.layer_heads import read_layer_head, read_pooler, read_tuned_head
from layerscope.jobs.kernels.arrays import Floats
from layerscope.jobs.specs.recipe import Pooling, TokenPooling


@dataclass(frozen=True)
class TextHead:
    """Logits are linear in the pooled states, or in the pooler's output for the first token."""

    pooling: TokenPooling
    weight_KD: Floats
    bias_K: Floats
    pooler: tuple[np.ndarray, np.ndarray] | None = None
    """Weight (D, D) and bias (D,) below a tanh."""

    @classmethod
    def tuned(cls, folder: Path, pooling: Pooling) -> Self:
        """The head in a fine-tuning's folder."""
        weight_KD, bias_K = read_tuned_head(folder)
        if pooling != "pooler":
            return cls(pooling, weight_KD, bias_K)
        return cls("cls", weight_KD, bias_K, read_pooler(folder))

    @classmethod
    def refitted(cls, folder: Path, layer: int, pooling: Pooling) -> Self:
        """The head of one layer in a refit's folder; with pooling `pooler` it is fitted to first-token
        states."""
        return cls("cls" if pooling == "pooler" else pooling, *read_layer_head(folder, layer))

    @property
    def num_labels(self) -> int:
        return len(self.bias_K)

    def logits(self, states_ND: Floats) -> Floats:
        """Logits (N, K) of states that are pooled as the head expects."""
        if self.pooler is not None:
            weight_DD, bias_D = self.pooler
            states_ND = np.tanh(states_ND @ weight_DD.T + bias_D)
        return states_ND @ self.weight_KD.T + self.bias_K
