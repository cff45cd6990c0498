"""Whether a few examples dominate the similarity of layers.

Axes: L layers, N examples.

Source: Nguyen, Raghu, Kornblith 2022 (arXiv 2206.07184): blocks in CKA maps may come from a few dominant
examples.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layerscope.jobs.kernels.similarity.activations import centred_pair
from layerscope.jobs.kernels.similarity.cka import cka_map
from layerscope.jobs.kernels.similarity.gram_products import square_norms


@dataclass(frozen=True)
class Leverage:
    """Shares of the trace of each layer's centred Gram matrix; NaN for a constant layer."""

    largest: np.ndarray
    """(L,) share of the largest row."""
    top: np.ndarray
    """(L,) total share of the given fraction of largest rows."""


def leverage(layers: Sequence[np.ndarray], *, fraction: float = 0.01) -> Leverage:
    """Share of each layer's variance in its most distant examples; equal shares would be 1/N each."""
    shares_LN = np.sort(_shares(layers), axis=1)
    return Leverage(shares_LN[:, -1], shares_LN[:, -_count(shares_LN.shape[1], fraction) :].sum(axis=1))


def cka_without_leverage(
    layers_a: Sequence[np.ndarray],
    layers_b: Sequence[np.ndarray] | None = None,
    *,
    fraction: float = 0.01,
    debiased: bool = True,
) -> np.ndarray:
    """The linear `cka_map` without the examples with the highest leverage, summed over all layers."""
    shares_LN = _shares([*layers_a, *(layers_b or ())])
    ranked_N = np.argsort(np.nansum(shares_LN, axis=0), kind="stable")
    kept = np.sort(ranked_N[: -_count(len(ranked_N), fraction)])
    a = [np.asarray(layer)[kept] for layer in layers_a]
    b = None if layers_b is None else [np.asarray(layer)[kept] for layer in layers_b]
    return cka_map(a, b, debiased=debiased)


def _shares(layers: Sequence[np.ndarray]) -> np.ndarray:
    centred, _ = centred_pair(layers, None)
    shares_LN = square_norms(centred)
    shares_LN[[layer.is_constant for layer in centred]] = np.nan
    return shares_LN


def _count(num_examples: int, fraction: float) -> int:
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must be between 0 and 1, as 0.01; got {fraction}.")
    return math.ceil(fraction * num_examples)
