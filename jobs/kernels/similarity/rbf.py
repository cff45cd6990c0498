"""The Gaussian kernel on tiles of Gram matrices, with its width in medians of the distance.

Axes: M layers, N examples, I and J rows of a tile.
"""

from collections.abc import Sequence

import numpy as np

from layerscope.jobs.kernels.similarity.activations import CentredLayer
from layerscope.jobs.kernels.similarity.gram_products import square_norms

_MEDIAN_ROWS = 1000
"""Number of evenly spaced rows whose half a million distances give the median."""


class RbfTiles:
    """Turns linear tiles into tiles of K - 1, K = exp(-|x - y|^2 / 2 s^2), s = bandwidth x median |x - y|.

    HSIC does not change if a constant is subtracted, and float32 has more precision near 0: with a wide
    kernel all values of K are near 1. A median of 0 makes K constant.

    Source: Kornblith et al. 2019 (arXiv 1905.00414), section 3, for the width in medians.
    """

    def __init__(self, layers: Sequence[CentredLayer], *, bandwidth: float) -> None:
        if not bandwidth > 0:
            raise ValueError(f"bandwidth is a positive multiple of the median distance, got {bandwidth}.")
        self._squares_MN = square_norms(layers).astype(np.float32)
        widths = [bandwidth * np.sqrt(median_square_distance(layer)) for layer in layers]
        self._rates = [1 / (2 * width**2) if width else 0.0 for width in widths]

    def __call__(self, grams_MIJ: np.ndarray, rows: slice, columns: slice) -> None:
        for gram_IJ, squares_N, rate in zip(grams_MIJ, self._squares_MN, self._rates, strict=True):
            gram_IJ *= -2
            gram_IJ += squares_N[rows, None]
            gram_IJ += squares_N[columns]
            gram_IJ *= np.float32(-rate)
            np.expm1(gram_IJ, out=gram_IJ)


def median_square_distance(layer: CentredLayer) -> float:
    """Median squared distance over pairs of examples, for the layer scaled to Frobenius norm 1."""
    count = min(layer.num_examples, _MEDIAN_ROWS)
    picked = np.linspace(0, layer.num_examples - 1, count).astype(int)
    rows = np.concatenate([layer.rows(row, row + 1) for row in picked]).astype(np.float64)
    squares = np.square(rows).sum(axis=1)
    distances = squares[:, None] + squares - 2 * rows @ rows.T
    return float(np.median(distances[np.triu_indices(count, 1)].clip(min=0)))
