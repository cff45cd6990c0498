"""Minimum description length of labels given a layer, by online code (Voita and Titov 2020, section 3.2).

The code length of the labels for a receiver who has the representations. The first block of examples is
encoded with the uniform code, each further block with the code of a linear probe fitted on all previous
blocks. Unlike accuracy, it also measures how many examples the probe needs.

Axes: L layers, N examples, D features, C classes, S blocks, G penalties.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.special import logsumexp, softmax

from layerscope.jobs.kernels.probes.labelled_layers import check_labelled, standardised
from layerscope.jobs.kernels.probes.logistic import fit_logistic

PORTIONS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.0625, 0.125, 0.25, 0.5, 1.0)
"""Block boundaries as fractions of all examples, from the paper."""

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)


@dataclass(frozen=True)
class DescriptionLength:
    """Code lengths in bits."""

    bits_L: np.ndarray
    uniform_bits: float
    """N log2 C, the length without representations."""
    compression_L: np.ndarray
    """uniform_bits / bits: about 1 if the layer has no information about the labels, larger if it has
    more."""


def online_code(
    layers_LND: Sequence[np.ndarray],
    labels: ArrayLike,
    *,
    portions: Sequence[float] = PORTIONS,
    penalties: Sequence[float] = PENALTIES,
    num_classes: int,
    seed: int,
    device: str = "cpu",
) -> DescriptionLength:
    """The online code length of the labels under each layer.

    The order of examples is sampled with `seed`. The probe is multinomial logistic regression on features
    that are standardised by the examples encoded so far. Two properties make this code decodable:

    - After n examples a class has the probability (n p + 1) / (n + C), where p is the probe's probability. So
    a
      class not yet seen has positive probability, and no example costs more than log2(n + C) bits.
    - No penalty is chosen with labels that are not yet encoded: the code is the uniform mixture of the codes
      of all penalties, which is at most log2 G bits longer than the best of them.

    Raises ValueError for labels outside 0..num_classes - 1, values that are not finite, fewer than 2 classes,
    and portions that do not rise to 1.
    """
    labels_N = np.asarray(labels)
    check_labelled(layers_LND, labels_N, "the code", num_classes)
    _check_settings(portions, penalties, num_classes)
    order_N = np.random.default_rng(seed).permutation(len(labels_N))
    ends_S = np.unique(np.ceil(np.asarray(portions) * len(labels_N)).astype(np.int64))
    bits_LGS = np.stack(
        [
            _bits(layer_ND[order_N], labels_N[order_N], ends_S, penalties, num_classes, device)
            for layer_ND in layers_LND
        ]
    )
    bits_LG = bits_LGS.sum(axis=2)
    bits_L = -logsumexp(-bits_LG * np.log(2), b=1 / len(penalties), axis=1) / np.log(2)
    uniform_bits = len(labels_N) * np.log2(num_classes)
    return DescriptionLength(
        bits_L=bits_L,
        uniform_bits=float(uniform_bits),
        compression_L=uniform_bits / bits_L,
    )


def _check_settings(portions: Sequence[float], penalties: Sequence[float], num_classes: int) -> None:
    if num_classes < 2:
        raise ValueError(f"a code needs at least 2 classes, got num_classes={num_classes}.")
    if not len(penalties) or min(penalties) <= 0:
        raise ValueError(f"penalties must be one or more positive numbers, got {tuple(penalties)}.")
    if not len(portions) or portions[0] <= 0 or portions[-1] != 1 or (np.diff(portions) <= 0).any():
        raise ValueError(f"portions must rise from above 0 to 1, got {tuple(portions)}.")


def _bits(
    layer_ND: np.ndarray,
    labels_N: np.ndarray,
    ends_S: np.ndarray,
    penalties: Sequence[float],
    num_classes: int,
    device: str,
) -> np.ndarray:
    """Bits of each block under each penalty: (G, S)."""
    bits_GS = np.zeros((len(penalties), len(ends_S)))
    bits_GS[:, 0] = ends_S[0] * np.log2(num_classes)
    for block, (start, end) in enumerate(zip(ends_S[:-1], ends_S[1:], strict=True), start=1):
        chances_GBC = _chances(
            layer_ND[:start], labels_N[:start], layer_ND[start:end], penalties, num_classes, device
        )
        smoothed_GBC = (start * chances_GBC + 1) / (start + num_classes)
        told_GB = smoothed_GBC[:, np.arange(end - start), labels_N[start:end]]
        bits_GS[:, block] = -np.log2(told_GB).sum(axis=1)
    return bits_GS


def _chances(
    known_ND: np.ndarray,
    known_labels_N: np.ndarray,
    next_BD: np.ndarray,
    penalties: Sequence[float],
    num_classes: int,
    device: str,
) -> np.ndarray:
    """The probe's probabilities of all classes for the next examples, 0 for unseen classes: (G, B, C)."""
    known, coming = (torch.from_numpy(part)[None].to(device) for part in standardised(known_ND, next_BD))
    shown, positions = np.unique(known_labels_N, return_inverse=True)
    penalty_1G = torch.tensor([list(penalties)], dtype=torch.float64, device=device)
    fits = fit_logistic(known, torch.from_numpy(positions).to(device), penalty_1G)
    logits_CGB = torch.einsum("cgd,bd->cgb", fits.weights_LCGD[0], coming[0])
    logits_CGB = logits_CGB + fits.intercepts_LCG[0, :, :, None]
    chances_GBC = np.zeros((len(penalties), len(next_BD), num_classes))
    chances_GBC[:, :, shown] = softmax(logits_CGB.permute(1, 2, 0).cpu().numpy(), axis=2)
    return chances_GBC
