"""A linear head for each layer that applies to its raw states, as in a model truncated at that layer.

Axes: L layers, N examples, D features, K labels (1 for heads that score a number or a choice).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike

from layerscope.jobs.kernels.probes.labelled_layers import check_labelled, check_penalties, mean_and_scale
from layerscope.jobs.kernels.probes.linear_probes import choose_penalties
from layerscope.jobs.kernels.probes.logistic import fit_logistic

_NEVER = -1e9
"""Logit of a label that no training example has."""


@dataclass(frozen=True)
class RefittedHeads:
    """The logits of layer l are states @ weight_LKD[l].T + bias_LK[l]; float32, as a model computes them."""

    weight_LKD: np.ndarray
    bias_LK: np.ndarray
    penalty_L: np.ndarray
    """The chosen L2 penalty of each layer."""

    def logits(self, layers_LND: Sequence[np.ndarray]) -> np.ndarray:
        """Logits of each example under each layer: float32 (L, N, K)."""
        parts = zip(layers_LND, self.weight_LKD, self.bias_LK, strict=True)
        return np.stack([states_ND @ weight_KD.T + bias_K for states_ND, weight_KD, bias_K in parts])


def refitted_heads(
    train_LND: Sequence[np.ndarray],
    labels: ArrayLike,
    *,
    penalties: Sequence[float],
    num_classes: int,
    seed: int,
    device: str = "cpu",
) -> RefittedHeads:
    """Multinomial logistic regression on each layer, fitted and chosen as by `linear_probes`, with weights
    for raw instead of standardised states. A label that does not occur in train is never predicted.

    Raises ValueError as `linear_probes` does.
    """
    labels_N = np.asarray(labels)
    check_labelled(train_LND, labels_N, "train", num_classes)
    check_penalties(penalties)
    penalty_L = choose_penalties(train_LND, labels_N, penalties, seed, device)
    units = [mean_and_scale(layer_ND) for layer_ND in train_LND]
    standard_LND = np.stack(
        [(layer_ND - mean_D) * scale_D for layer_ND, (mean_D, scale_D) in zip(train_LND, units, strict=True)]
    )
    shown, positions = np.unique(labels_N, return_inverse=True)
    fits = fit_logistic(
        torch.from_numpy(standard_LND).to(device),
        torch.from_numpy(positions).to(device),
        torch.from_numpy(penalty_L[:, None]).to(device),
    )
    scale_LD = np.stack([scale_D for _, scale_D in units])
    mean_LD = np.stack([mean_D for mean_D, _ in units])
    weight_LCD = fits.weights_LCGD[:, :, 0].cpu().numpy() * scale_LD[:, None]
    bias_LC = fits.intercepts_LCG[..., 0].cpu().numpy() - np.einsum("lcd,ld->lc", weight_LCD, mean_LD)
    weight_LKD = np.zeros((len(train_LND), num_classes, train_LND[0].shape[1]), dtype=np.float32)
    bias_LK = np.full((len(train_LND), num_classes), _NEVER, dtype=np.float32)
    weight_LKD[:, shown], bias_LK[:, shown] = weight_LCD, bias_LC
    return RefittedHeads(weight_LKD, bias_LK, penalty_L)
