"""Centred kernel alignment (CKA) of every layer with every layer, from the activations of the same examples.

Axes: L layers, N examples, D features. `K` and `M` are the Gram matrices of two layers.

Columns are centred in float64 before anything is multiplied. The [CLS] vectors of an encoder can differ by as
little as a thousandth of their mean, which products of uncentred float32 values lose, and the similarity with
it.
"""

from collections.abc import Sequence

import numpy as np

KERNELS = ("linear",)

_BAND_ENTRIES = 16_000_000
"""Entries of all Gram matrices held at once (128 MB in float64)."""

_CANCELLED = 1e-5
"""The debiased norm is a difference of sums that float32 products know to 1e-7 of the biased norm, or to some
1e-6 where all roundings point the same way. Below this part of the biased norm the difference is rounding:
all rows are equally far apart, or all but one are the same."""


def cka_map(
    layers_a: Sequence[np.ndarray],
    layers_b: Sequence[np.ndarray] | None = None,
    *,
    debiased: bool = True,
    kernel: str = "linear",
) -> np.ndarray:
    """Similarity of each layer of a model with each of another, or of its own: float64 (len(a), len(b)).

    A layer is (examples, features), row i of every layer belonging to the same example; widths may differ.
    Biased values lie in 0..1 and grow with features / examples even for unrelated layers (see `cka_floor`).
    Debiased values are at most 1, near 0 for unrelated layers, and may fall below 0. A layer that is the same
    for all examples has no similarity to anything: its row and column are NaN.

    Sources: CKA, Kornblith et al. 2019 (arXiv 1905.00414), section 3; the debiased estimate replaces HSIC by
    the U-statistic HSIC_1 of Song et al. 2012 (JMLR 13), equation 5, and needs four examples.

    Raises ValueError for an unknown kernel, too few examples, different examples, values that are not finite.
    """
    if kernel not in KERNELS:
        raise ValueError(f"CKA kernel {kernel!r} does not exist: there is {', '.join(KERNELS)}.")
    a, b = _centred_pair(layers_a, layers_b)
    num_examples = len(a[0])
    if debiased and num_examples < 4:
        raise ValueError(f"debiased CKA needs at least 4 examples, got {num_examples}.")
    products, own_a, own_b = _off_diagonal_products(a, b)
    rows_a, rows_b = _row_norms(a), _row_norms(b)
    if debiased:
        traces = np.outer(rows_a.sum(axis=1), rows_b.sum(axis=1))
        hsic = _debiased_hsic(products, rows_a @ rows_b.T, traces, num_examples)
    else:
        hsic = products + rows_a @ rows_b.T
    return hsic / np.outer(_norms(own_a, rows_a, debiased=debiased), _norms(own_b, rows_b, debiased=debiased))


def cka_floor(layers_a: Sequence[np.ndarray], layers_b: Sequence[np.ndarray] | None = None) -> np.ndarray:
    """The mean of the biased `cka_map` were the examples of one side shuffled: float64 (len(a), len(b)).

    The mean of tr(KM) over permutations is tr(K) tr(M) / (n - 1) (Kazi-Aoual et al. 1995); divided by the
    norms it is sqrt(PR_a PR_b) / (n - 1), with the participation ratio PR = tr(C)^2 / ||C||_F^2 of a layer's
    covariance C. NaN for a layer that is the same for all examples.
    """
    a, b = _centred_pair(layers_a, layers_b)
    return np.outer(_root_participation(a), _root_participation(b)) / (len(a[0]) - 1)


def _centred_pair(
    layers_a: Sequence[np.ndarray], layers_b: Sequence[np.ndarray] | None
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Both sides ready for products; the second *is* the first where one model is compared with itself."""
    named = [(f"layers_a[{index}]", np.asarray(layer)) for index, layer in enumerate(layers_a)]
    if layers_b is not None:
        named += [(f"layers_b[{index}]", np.asarray(layer)) for index, layer in enumerate(layers_b)]
    if not len(layers_a) or (layers_b is not None and not len(layers_b)):
        raise ValueError("CKA needs at least one layer on each side.")
    first_name, first = named[0]
    for name, layer in named:
        if layer.ndim != 2 or layer.shape[0] < 2 or layer.shape[1] < 1:
            raise ValueError(
                f"{name} must be (examples, features) with 2 examples or more, got {layer.shape}."
            )
        if len(layer) != len(first):
            raise ValueError(
                f"{name} has {len(layer)} examples and {first_name} has {len(first)}: "
                "all layers must hold the same examples in the same order."
            )
    centred = [_centred(name, layer) for name, layer in named]
    a = centred[: len(layers_a)]
    return a, a if layers_b is None else centred[len(layers_a) :]


def _centred(name: str, layer_ND: np.ndarray) -> np.ndarray:
    """The layer in float32, its columns of mean 0 and its Frobenius norm 1, or 0 if it is constant.

    CKA does not see the scale; the products see it, and would overflow or vanish.
    """
    if not np.isfinite(layer_ND).all():
        raise ValueError(f"{name} holds values that are not finite.")
    mean_D = layer_ND.mean(axis=0, dtype=np.float64)
    centred_ND = np.subtract(layer_ND, mean_D, dtype=np.float64)
    spread = np.linalg.norm(centred_ND)
    # A stored value is known to eps / 2 of its size, so a spread up to eps times the mean may be nothing but
    # rounding. Activations come from float32 arithmetic at best, whatever type holds them now.
    precision = max(np.finfo(np.float32).eps, _resolution(layer_ND.dtype))
    if spread <= precision * np.sqrt(len(layer_ND)) * np.linalg.norm(mean_D):
        return np.zeros(layer_ND.shape, dtype=np.float32)
    return (centred_ND / spread).astype(np.float32)


def _resolution(dtype: np.dtype) -> float:
    return float(np.finfo(dtype).eps) if np.issubdtype(dtype, np.floating) else 0.0


def _root_participation(layers: list[np.ndarray]) -> np.ndarray:
    rows = _row_norms(layers)
    return rows.sum(axis=1) / _norms(_own_products(layers), rows, debiased=False)


def _norms(own_L: np.ndarray, rows_LN: np.ndarray, *, debiased: bool) -> np.ndarray:
    """Square root of each layer's HSIC with itself; NaN where that is zero or nothing but rounding."""
    diagonals = np.square(rows_LN).sum(axis=1)
    biased = own_L + diagonals
    hsic = biased
    if debiased:
        hsic = _debiased_hsic(own_L, diagonals, np.square(rows_LN.sum(axis=1)), rows_LN.shape[1])
    return np.sqrt(np.where(hsic > _CANCELLED * biased, hsic, np.nan))


def _debiased_hsic(
    products: np.ndarray, diagonals: np.ndarray, traces: np.ndarray, num_examples: int
) -> np.ndarray:
    """n (n - 3) HSIC_1 from the sums of K_ij M_ij (i != j) and K_ii M_ii, and tr(K) tr(M).

    Song's estimate takes K and M without their diagonals. Rows of a centred Gram matrix sum to zero, so
    without its diagonal row i sums to -K_ii, and these three numbers are all it needs. CKA cancels the
    factor.
    """
    return products - 2 / (num_examples - 2) * diagonals + traces / ((num_examples - 1) * (num_examples - 2))


def _row_norms(layers: list[np.ndarray]) -> np.ndarray:
    """Squared norms of the rows, which are the diagonals of the Gram matrices: float64 (L, N)."""
    return np.stack([np.square(layer, dtype=np.float64).sum(axis=1) for layer in layers])


def _off_diagonal_products(
    a: list[np.ndarray], b: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums of K_ij M_ij over i != j for all pairs, and for each layer of a and of b with itself.

    On whichever side needs fewer multiplications: Gram matrices (n, n) or cross-products (features,
    features).
    """
    num_examples = len(a[0])
    widths_a, widths_b = (np.array([layer.shape[1] for layer in side], dtype=float) for side in (a, b))
    if a is b:
        gram_cost = num_examples * (widths_a.sum() + len(a) ** 2)
        feature_cost = np.square(widths_a.sum()) / 2
    else:
        gram_cost = num_examples * (widths_a.sum() + widths_b.sum() + len(a) * len(b))
        feature_cost = (
            widths_a.sum() * widths_b.sum() + (np.square(widths_a).sum() + np.square(widths_b).sum()) / 2
        )
    if gram_cost < feature_cost:
        return _from_grams(a, b)
    products = _from_features(a, b)
    if a is b:
        return products, products.diagonal(), products.diagonal()
    return products, _own_products(a), _own_products(b)


def _own_products(layers: list[np.ndarray]) -> np.ndarray:
    return np.array(
        [_off_diagonal_products(alone, alone)[0].item() for alone in ([layer] for layer in layers)]
    )


def _from_grams(a: list[np.ndarray], b: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A band of rows of all Gram matrices at a time, which bounds the memory."""
    num_examples = len(a[0])
    band = max(1, _BAND_ENTRIES // (num_examples * (len(a) + len(b))))
    products, own_a, own_b = np.zeros((len(a), len(b))), np.zeros(len(a)), np.zeros(len(b))
    for start in range(0, num_examples, band):
        grams_a = _gram_band(a, start, start + band)
        grams_b = grams_a if a is b else _gram_band(b, start, start + band)
        products += grams_a @ grams_b.T
        own_a += np.einsum("lk,lk->l", grams_a, grams_a)
        own_b += np.einsum("lk,lk->l", grams_b, grams_b)
    return products, own_a, own_b


def _gram_band(layers: list[np.ndarray], start: int, stop: int) -> np.ndarray:
    """Rows start..stop of every Gram matrix without its diagonal, flat: float32 products held as float64."""
    grams = np.stack([layer[start:stop] @ layer.T for layer in layers]).astype(np.float64)
    rows = np.arange(grams.shape[1])
    grams[:, rows, start + rows] = 0
    return grams.reshape(len(layers), -1)


def _from_features(a: list[np.ndarray], b: list[np.ndarray]) -> np.ndarray:
    """||X'Y||_F^2 is the sum over all i and j; within one model half of the pairs give the rest."""
    products = np.empty((len(a), len(b)))
    for i, layer_a in enumerate(a):
        for j in range(i if a is b else 0, len(b)):
            cross = (layer_a.T @ b[j]).astype(np.float64)
            products[i, j] = np.vdot(cross, cross)
            if a is b:
                products[j, i] = products[i, j]
    return products - _row_norms(a) @ _row_norms(b).T
