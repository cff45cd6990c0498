"""Linear CKA of more examples than fit in memory: batches are added, then forgotten.

Axes: A and B layers of two sides, M layers of both, N examples of a batch, D features.
"""

from collections.abc import Sequence

import numpy as np

from layerscope.jobs.kernels.similarity.activations import check_layer, is_rounding
from layerscope.jobs.kernels.similarity.hsic import debiased_hsic, norms, refuse_few_examples

_ROWS = 1024
"""Rows of one float32 product."""


class CkaStream:
    """The `cka_map` of all examples that were added, biased and debiased, from one pass.

    Holds the cross-products of all pairs in float64: 8 A B D^2 bytes for two models and half for one, so 13
    layers of 768 features with 13 others take 0.9 GB and never more, however many examples there are.

    A shift near the mean, which is that of the first batch, leaves every row before it is multiplied. What is
    left of the mean at the end is subtracted from the sums: shifts change no similarity.
    """

    def __init__(self) -> None:
        self.num_examples = 0
        self._shapes: tuple[list[int], list[int]] | None = None

    def add(self, layers_a: Sequence[np.ndarray], layers_b: Sequence[np.ndarray] | None = None) -> None:
        """Add the same examples of all layers, one or more; without `layers_b`, of one model with itself.

        Raises ValueError for values that are not finite, and for layers unlike those of the first batch.
        """
        a = [np.asarray(layer) for layer in layers_a]
        b = [np.asarray(layer) for layer in layers_b or ()]
        shapes = [layer.shape[1:] for layer in a], [layer.shape[1:] for layer in b]
        for index, layer in enumerate([*a, *b]):
            check_layer(f"layer {index} of the batch", layer)
            if len(layer) != len(a[0]):
                raise ValueError(f"layer {index} has {len(layer)} examples and layer 0 has {len(a[0])}.")
            if not np.isfinite(layer).all():
                raise ValueError(f"layer {index} of the batch has values that are not finite.")
        if self._shapes is None:
            self._start(a, b)
            self._shapes = shapes
        if shapes != self._shapes:
            raise ValueError(f"the layers of a batch have widths {shapes}, those before had {self._shapes}.")
        for start in range(0, len(a[0]), _ROWS):
            self._add_rows([layer[start : start + _ROWS] for layer in [*a, *b]])

    def similarity(self, *, debiased: bool = True) -> np.ndarray:
        """What `cka_map` gives for all examples so far: float64 (A, B), NaN for a layer that is constant.

        Raises ValueError for fewer than two examples, or four for the debiased estimate.
        """
        if self.num_examples < 2:
            raise ValueError(f"CKA needs at least 2 examples, got {self.num_examples}.")
        refuse_few_examples(self.num_examples, debiased=debiased)
        products_MM = self._centred_products()
        if debiased:
            traces_M = self._centred_traces()
            diagonals_MM = self._diagonal_products()
            hsic_MM = debiased_hsic(
                products_MM - diagonals_MM, diagonals_MM, np.outer(traces_M, traces_M), self.num_examples
            )
        else:
            hsic_MM = products_MM
        norms_M = norms(hsic_MM.diagonal(), products_MM.diagonal())
        norms_M[self._constant()] = np.nan
        similarity_MM = hsic_MM / np.outer(norms_M, norms_M)
        num_a = self._num_a
        return similarity_MM[:num_a, :num_a] if num_a == len(norms_M) else similarity_MM[:num_a, num_a:]

    def _start(self, a: list[np.ndarray], b: list[np.ndarray]) -> None:
        layers = [*a, *b]
        self._num_a = len(a)
        self._dtypes = [layer.dtype for layer in layers]
        self._shifts = [layer.mean(axis=0, dtype=np.float64) for layer in layers]
        self._scales = [_scale(layer, shift) for layer, shift in zip(layers, self._shifts, strict=True)]
        self._sums = [np.zeros(layer.shape[1]) for layer in layers]
        self._squares_MM = np.zeros((len(layers), len(layers)))
        """Sum over examples of the product of two layers' squared row norms."""
        self._traces_M = np.zeros(len(layers))
        self._weighted = [np.zeros((len(layers), layer.shape[1])) for layer in layers]
        """For each layer, the sums of its rows weighted by the squared row norms of every layer."""
        self._crosses = {
            pair: np.zeros((layers[pair[0]].shape[1], layers[pair[1]].shape[1]))
            for pair in _pairs(len(a), len(layers))
        }

    def _add_rows(self, layers: list[np.ndarray]) -> None:
        shifted = [
            (np.subtract(layer, shift, dtype=np.float64) * scale).astype(np.float32)
            for layer, shift, scale in zip(layers, self._shifts, self._scales, strict=True)
        ]
        self.num_examples += len(shifted[0])
        squares_MN = np.stack([np.einsum("nd,nd->n", rows, rows, dtype=np.float64) for rows in shifted])
        self._squares_MM += squares_MN @ squares_MN.T
        self._traces_M += squares_MN.sum(axis=1)
        for index, rows in enumerate(shifted):
            self._sums[index] += rows.sum(axis=0, dtype=np.float64)
            self._weighted[index] += squares_MN @ rows
        for (i, j), cross in self._crosses.items():
            cross += shifted[i].T @ shifted[j]

    def _means(self) -> list[np.ndarray]:
        return [total / self.num_examples for total in self._sums]

    def _centred_products(self) -> np.ndarray:
        """||X'Y||_F^2 of centred layers, for the pairs that are held."""
        means = self._means()
        products_MM = np.full((len(means), len(means)), np.nan)
        for (i, j), cross in self._crosses.items():
            norm = 0.0
            for row in range(0, len(cross), 256):  # a centred copy of all would double what is held
                part = slice(row, row + 256)
                centred = cross[part] - self.num_examples * np.outer(means[i][part], means[j])
                norm += float(np.vdot(centred, centred))
            products_MM[i, j] = products_MM[j, i] = norm
        return products_MM

    def _centred_traces(self) -> np.ndarray:
        means = self._means()
        return self._traces_M - self.num_examples * np.array([float(mean @ mean) for mean in means])

    def _diagonal_products(self) -> np.ndarray:
        """Sums of |x - m|^2 |y - k|^2, from |x|^2 - 2 m'x + |m|^2 multiplied out; m and k are means."""
        n, means = self.num_examples, self._means()
        mean_squares_M = np.array([float(mean @ mean) for mean in means])
        weighted_MM = np.stack(
            [weighted @ mean for weighted, mean in zip(self._weighted, means, strict=True)], 1
        )
        """Row: whose squared norms weigh; column: whose mean meets its rows."""
        products_MM = self._squares_MM - 2 * weighted_MM - 2 * weighted_MM.T
        products_MM += np.outer(self._traces_M, mean_squares_M) + np.outer(mean_squares_M, self._traces_M)
        products_MM -= 3 * n * np.outer(mean_squares_M, mean_squares_M)
        for (i, j), cross in self._crosses.items():
            bilinear = 4 * float(means[i] @ cross @ means[j])
            products_MM[i, j] += bilinear
            if i != j:
                products_MM[j, i] += bilinear
        return products_MM

    def _constant(self) -> list[int]:
        constant = []
        for index, (shift, scale, mean) in enumerate(
            zip(self._shifts, self._scales, self._means(), strict=True)
        ):
            spread = np.sqrt(max(self._centred_traces()[index], 0.0))
            mean_norm = float(np.linalg.norm(shift * scale + mean))
            if is_rounding(spread, mean_norm, self.num_examples, self._dtypes[index]):
                constant.append(index)
        return constant


def _pairs(num_a: int, num_layers: int) -> list[tuple[int, int]]:
    """Every pair within one model once; across two models all pairs, and each layer with itself."""
    if num_a == num_layers:
        return [(i, j) for i in range(num_a) for j in range(i, num_a)]
    across = [(i, j) for i in range(num_a) for j in range(num_a, num_layers)]
    return across + [(i, i) for i in range(num_layers)]


def _scale(layer_ND: np.ndarray, shift_D: np.ndarray) -> float:
    """Brings rows to about norm 1; from the values themselves where the first batch has no spread."""
    spread = float(np.abs(layer_ND - shift_D).max()) or float(np.abs(layer_ND).max())
    return 1 / spread if spread else 1.0
