"""Inner products of the Gram matrices of all pairs of layers, in one pass and without storing the matrices.

Axes: M layers, N examples, D features, F features of some layers side by side, I and J rows of a tile.

Products are float32, their sums float64. For the linear kernel there are two equivalent computations, and the
cheaper one is used: tiles of the Gram matrices (N, N), or cross-products (D, D), whose squared norm is the
sum over all entries.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from layerscope.jobs.kernels.float32_products import fast_float32_products
from layerscope.jobs.kernels.similarity.activations import CentredLayer

TILE = 256
"""Rows and columns of a tile: the tiles of 26 layers take 20 MB in all."""
BAND = 2048
"""Rows kept centred while the tiles to their right are computed."""
_WIDE_ENTRIES = 64_000_000
"""Float32 entries of the layers kept centred while they are multiplied with the others (256 MB)."""
_CHUNK = 4096
"""Rows of one float32 product. Longer sums lose digits, shorter ones take more time for adding."""
_TILE_OVERHEAD = 50
"""Cost of casting and squaring an entry of a Gram matrix, in multiply-adds (measured)."""

TileKernel = Callable[[np.ndarray, slice, slice], None]
"""Turns the linear Gram tiles (M, I, J) of some rows and columns into those of another kernel, in place."""


@dataclass(frozen=True)
class GramProducts:
    """Sums of K_ij L_ij over i != j."""

    cross: np.ndarray
    """(layers of a, layers of b)"""
    own_a: np.ndarray
    """(layers of a,) each layer with itself."""
    own_b: np.ndarray


def linear_products(a: Sequence[CentredLayer], b: Sequence[CentredLayer]) -> GramProducts:
    """Products of all pairs for the linear kernel. Costs half if `a is b`."""
    if _takes_tiles(a, b):
        layers = a if a is b else [*a, *b]
        products_MM, _ = tiled_products(layers)
        return _split(products_MM, len(a), within=a is b)
    cross, own_a, own_b = _from_features(a, b)
    squares_a, squares_b = square_norms(a), square_norms(b)
    return GramProducts(
        cross - squares_a @ squares_b.T,
        own_a - np.square(squares_a).sum(axis=1),
        own_b - np.square(squares_b).sum(axis=1),
    )


def kernel_products(
    a: Sequence[CentredLayer], b: Sequence[CentredLayer], kernel: TileKernel
) -> tuple[GramProducts, np.ndarray, np.ndarray]:
    """Products of all pairs for any kernel, and the row sums without the diagonal of a (M, N) and of b."""
    layers = a if a is b else [*a, *b]
    products_MM, sums_MN = tiled_products(layers, kernel)
    sums_a = sums_MN[: len(a)]
    return _split(products_MM, len(a), within=a is b), sums_a, sums_a if a is b else sums_MN[len(a) :]


def own_products(layers: Sequence[CentredLayer]) -> np.ndarray:
    """Product of each layer with itself for the linear kernel: float64 (M,)."""
    return np.array([linear_products(alone, alone).cross.item() for alone in ([layer] for layer in layers)])


def square_norms(layers: Sequence[CentredLayer]) -> np.ndarray:
    """Squared norms of the rows, which are the diagonals of the linear Gram matrices: float64 (M, N)."""
    return np.stack([layer.square_norms() for layer in layers])


def tiled_products(
    layers: Sequence[CentredLayer], kernel: TileKernel | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Products of all pairs (M, M), and the row sums of each Gram matrix without its diagonal (M, N).

    Without a `kernel` the row sums are not computed and are 0.
    """
    products_MM = np.zeros((len(layers), len(layers)))
    sums_MN = np.zeros((len(layers), layers[0].num_examples))
    space = np.empty(len(layers) * TILE**2)
    for rows, columns, grams_MIJ in _gram_tiles(layers):
        if kernel is not None:
            kernel(grams_MIJ, rows, columns)
        on_diagonal = rows.start == columns.start
        if on_diagonal:
            diagonal = np.arange(grams_MIJ.shape[1])
            grams_MIJ[:, diagonal, diagonal] = 0
        flat = space[: grams_MIJ.size].reshape(len(layers), -1)
        np.copyto(flat, grams_MIJ.reshape(len(layers), -1))
        products_MM += (1 if on_diagonal else 2) * (flat @ flat.T)
        if kernel is not None:
            tile = flat.reshape(grams_MIJ.shape)
            sums_MN[:, rows] += tile.sum(axis=2)
            if not on_diagonal:
                sums_MN[:, columns] += tile.sum(axis=1)
    return products_MM, sums_MN


def _split(products_MM: np.ndarray, num_a: int, *, within: bool) -> GramProducts:
    own = products_MM.diagonal()
    if within:
        return GramProducts(products_MM, own, own)
    return GramProducts(products_MM[:num_a, num_a:], own[:num_a], own[num_a:])


def _gram_tiles(layers: Sequence[CentredLayer]) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Tiles on and above the diagonal, of all layers at once; the next tile overwrites the array."""
    num_examples = layers[0].num_examples
    space = np.empty(len(layers) * TILE**2, dtype=np.float32)
    for band_start in range(0, num_examples, BAND):
        band_stop = min(band_start + BAND, num_examples)
        band = [layer.rows(band_start, band_stop) for layer in layers]
        for start in range(band_start, num_examples, TILE):
            columns = slice(start, min(start + TILE, num_examples))
            if start < band_stop:
                right = [rows[start - band_start : columns.stop - band_start] for rows in band]
            else:
                right = [layer.rows(columns.start, columns.stop) for layer in layers]
            for top in range(band_start, min(start + 1, band_stop), TILE):
                rows = slice(top, min(top + TILE, band_stop))
                shape = (len(layers), rows.stop - rows.start, columns.stop - columns.start)
                grams_MIJ = space[: int(np.prod(shape))].reshape(shape)
                for gram_IJ, left, other in zip(grams_MIJ, band, right, strict=True):
                    np.matmul(left[top - band_start : rows.stop - band_start], other.T, out=gram_IJ)
                yield rows, columns, grams_MIJ


def _takes_tiles(a: Sequence[CentredLayer], b: Sequence[CentredLayer]) -> bool:
    """Whether tiles need fewer multiply-adds than cross-products."""
    layers = a if a is b else [*a, *b]
    width_a, width_b, squares = (
        float(sum(widths))
        for widths in (
            [layer.width for layer in a],
            [layer.width for layer in b],
            [layer.width**2 for layer in layers],
        )
    )
    per_entry = sum(layer.width for layer in layers) + len(layers) * (_TILE_OVERHEAD + len(layers))
    cross = width_a**2 / 2 if a is b else width_a * width_b
    return layers[0].num_examples * per_entry / 2 < cross + squares / 2


def _from_features(
    a: Sequence[CentredLayer], b: Sequence[CentredLayer]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """||X'Y||_F^2 of all pairs, and ||X'X||_F^2 of each layer of a and of b."""
    cross = np.empty((len(a), len(b)))
    for group in _groups(a):
        wide_NF, starts = _side_by_side(a[group])
        if a is b:
            cross[group, group] = _norms_within(wide_NF, starts)
        for j in range(group.stop if a is b else 0, len(b)):
            cross[group, j] = _block_norms(_cross_product(wide_NF, b[j].rows), starts)
            if a is b:
                cross[j, group] = cross[group, j]
        del wide_NF  # two groups at once would hold twice as much
    if a is b:
        return cross, cross.diagonal(), cross.diagonal()
    own_a, own_b = (np.array([_own_norm(layer) for layer in side]) for side in (a, b))
    return cross, own_a, own_b


def _groups(layers: Sequence[CentredLayer]) -> Iterator[slice]:
    """Groups of consecutive layers that are centred at the same time."""
    start, entries = 0, 0
    for index, layer in enumerate(layers):
        size = layer.num_examples * layer.width
        if index > start and entries + size > _WIDE_ENTRIES:
            yield slice(start, index)
            start, entries = index, 0
        entries += size
    yield slice(start, len(layers))


def _side_by_side(layers: Sequence[CentredLayer]) -> tuple[np.ndarray, np.ndarray]:
    """Centred layers side by side (N, F), and the first column of each."""
    stops = np.cumsum([layer.width for layer in layers])
    starts = stops - [layer.width for layer in layers]
    wide_NF = np.empty((layers[0].num_examples, stops[-1]), dtype=np.float32)
    for layer, start, stop in zip(layers, starts, stops, strict=True):
        layer.read_into(wide_NF[:, start:stop], 0)
    return wide_NF, starts


def _norms_within(wide_NF: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """||X'Y||_F^2 of all pairs of layers that are side by side; each pair is multiplied once."""
    norms = np.empty((len(starts), len(starts)))
    for j, (start, stop) in enumerate(zip(starts, [*starts[1:], wide_NF.shape[1]], strict=True)):
        product = _cross_product(wide_NF[:, :stop], partial(_rows, wide_NF[:, start:stop]))
        norms[: j + 1, j] = norms[j, : j + 1] = _block_norms(product, starts[: j + 1])
    return norms


def _rows(values_ND: np.ndarray, start: int, stop: int) -> np.ndarray:
    return values_ND[start:stop]


def _cross_product(wide_NF: np.ndarray, partner: Callable[[int, int], np.ndarray]) -> np.ndarray:
    """W'Y in float64; `partner(start, stop)` returns centred rows of Y."""
    total = np.zeros((wide_NF.shape[1], partner(0, 1).shape[1]))
    for start in range(0, len(wide_NF), _CHUNK):
        stop = start + _CHUNK
        left_NF, right_ND = torch.from_numpy(wide_NF[start:stop]), torch.from_numpy(partner(start, stop))
        with fast_float32_products():
            total += (left_NF.T @ right_ND).numpy()
    return total


def _own_norm(layer: CentredLayer) -> float:
    total = np.zeros((layer.width, layer.width))
    for start in range(0, layer.num_examples, _CHUNK):
        rows = layer.rows(start, start + _CHUNK)
        total += rows.T @ rows
    return float(np.vdot(total, total))


def _block_norms(matrix: np.ndarray, row_starts: np.ndarray) -> np.ndarray:
    """Squared Frobenius norm of each block of rows."""
    return np.add.reduceat(np.einsum("fd,fd->f", matrix, matrix), row_starts)
