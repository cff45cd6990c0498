"""Centred kernel alignment (CKA) of every layer with every layer, from the activations of the same examples.

K and L are the Gram matrices of two layers over n examples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layerscope.jobs.kernels.similarity.activations import CentredLayer, centred_pair
from layerscope.jobs.kernels.similarity.gram_products import (
    GramProducts,
    kernel_products,
    linear_products,
    own_products,
    square_norms,
)
from layerscope.jobs.kernels.similarity.hsic import biased_hsic, debiased_hsic, norms, refuse_few_examples
from layerscope.jobs.kernels.similarity.rbf import RbfTiles

KERNELS = ("linear", "rbf")


def cka_map(
    layers_a: Sequence[np.ndarray],
    layers_b: Sequence[np.ndarray] | None = None,
    *,
    debiased: bool = True,
    kernel: str = "linear",
    bandwidth: float = 1.0,
) -> np.ndarray:
    """CKA of each layer of a model with each layer of another or the same model: float64 (len(a), len(b)).

    A layer is (examples, features). Row i of every layer is the same example; widths may differ. Biased
    values are in 0..1 and grow with features / examples even for unrelated layers (see `cka_floor`). Debiased
    values are at most 1, near 0 for unrelated layers, and can be negative. CKA is undefined for a layer that
    is the same for all examples: its row and column are NaN (`undefined_layers` gives the reasons).

    `bandwidth` is the width of the Gaussian kernel "rbf", in medians of the distance between two examples.

    Sources: CKA, Kornblith et al. 2019 (arXiv 1905.00414), section 3; the debiased estimate replaces HSIC by
    the U-statistic HSIC_1 of Song et al. 2012 (JMLR 13), equation 5, and needs four examples.

    Raises ValueError for an unknown kernel, a bandwidth that is not positive, too few examples, different
    numbers of examples, and values that are not finite.
    """
    a, b = centred_pair(layers_a, layers_b)
    hsic = _hsic(a, b, debiased=debiased, kernel=kernel, bandwidth=bandwidth)
    similarity = hsic.cross / np.outer(hsic.norms_a, hsic.norms_b)
    return (similarity + similarity.T) / 2 if a is b else similarity  # rounding may break symmetry


def undefined_layers(
    layers: Sequence[np.ndarray], *, debiased: bool = True, kernel: str = "linear", bandwidth: float = 1.0
) -> dict[int, str]:
    """Why `cka_map` has NaN for a layer, by layer index; empty if all layers are defined."""
    a, _ = centred_pair(layers, None)
    reasons = {}
    for index, layer in enumerate(a):
        if layer.is_constant:
            reasons[index] = f"layer {index} is the same for all {layer.num_examples} examples"
            continue
        alone = [layer]
        hsic = _hsic(alone, alone, debiased=debiased, kernel=kernel, bandwidth=bandwidth)
        if np.isnan(hsic.norms_a[0]):
            reasons[index] = (
                f"in layer {index} all {layer.num_examples} examples are equally far apart, or too few differ"
            )
    return reasons


def cka_floor(layers_a: Sequence[np.ndarray], layers_b: Sequence[np.ndarray] | None = None) -> np.ndarray:
    """The expected biased linear `cka_map` under random permutation of one side's examples.

    float64 (len(a), len(b)). The mean of tr(KL) over permutations is tr(K) tr(L) / (n - 1) (Kazi-Aoual et al.
    1995); divided by the norms it is sqrt(PR_a PR_b) / (n - 1), with PR = tr(C)^2 / ||C||_F^2 of a layer's
    covariance C, its participation ratio. NaN for a layer that is the same for all examples.
    """
    a, b = centred_pair(layers_a, layers_b)
    return np.outer(_root_participation(a), _root_participation(b)) / (a[0].num_examples - 1)


def partial_cka_map(
    layers_a: Sequence[np.ndarray],
    layers_b: Sequence[np.ndarray] | None = None,
    *,
    confounder: np.ndarray,
    debiased: bool = True,
) -> np.ndarray:
    """The linear `cka_map` after the similarity of the inputs is regressed out of both Gram matrices.

    The confounder is a layer of the same examples, such as their embeddings or word counts. Two layers that
    are similar only because both resemble the inputs get a value near 0. NaN if no residual is left.

    Source: Cui et al. 2022 (arXiv 2202.00095), dCKA, on centred matrices. With HSIC as the inner product a
    residual is K - <K,Z>/<Z,Z> Z, which makes this the partial correlation of CKA values.
    """
    between = cka_map(layers_a, layers_b, debiased=debiased)
    with_a = cka_map(layers_a, [confounder], debiased=debiased)[:, 0]
    with_b = with_a if layers_b is None else cka_map(layers_b, [confounder], debiased=debiased)[:, 0]
    left_a, left_b = (norms(1 - np.square(side), np.ones(len(side))) for side in (with_a, with_b))
    return (between - np.outer(with_a, with_b)) / np.outer(left_a, left_b)


@dataclass(frozen=True)
class _Hsic:
    cross: np.ndarray
    norms_a: np.ndarray
    norms_b: np.ndarray


def _hsic(
    a: list[CentredLayer], b: list[CentredLayer], *, debiased: bool, kernel: str, bandwidth: float
) -> _Hsic:
    refuse_few_examples(a[0].num_examples, debiased=debiased)
    match kernel:
        case "linear":
            return _linear_hsic(a, b, debiased=debiased)
        case "rbf":
            return _rbf_hsic(a, b, debiased=debiased, bandwidth=bandwidth)
        case _:
            raise ValueError(f"CKA kernel {kernel!r} does not exist: there is {', '.join(KERNELS)}.")


def _linear_hsic(a: list[CentredLayer], b: list[CentredLayer], *, debiased: bool) -> _Hsic:
    products = linear_products(a, b)
    diagonals_a = square_norms(a)
    diagonals_b = diagonals_a if a is b else square_norms(b)
    whole = _add(products, diagonals_a, diagonals_b)
    if not debiased:
        return _Hsic(whole.cross, norms(whole.own_a, whole.own_a), norms(whole.own_b, whole.own_b))
    sums_a = -diagonals_a
    return _from_sums(products, sums_a, sums_a if a is b else -diagonals_b, whole, debiased=True)


def _rbf_hsic(a: list[CentredLayer], b: list[CentredLayer], *, debiased: bool, bandwidth: float) -> _Hsic:
    # The tiles hold K - 1, whose diagonal is 0, so sums with and without the diagonal are equal.
    tiles = RbfTiles(a if a is b else [*a, *b], bandwidth=bandwidth)
    products, sums_a, sums_b = kernel_products(a, b, tiles)
    return _from_sums(products, sums_a, sums_b, products, debiased=debiased)


def _from_sums(
    products: GramProducts, sums_a: np.ndarray, sums_b: np.ndarray, sizes: GramProducts, *, debiased: bool
) -> _Hsic:
    estimate = debiased_hsic if debiased else biased_hsic
    num_examples = sums_a.shape[1]
    totals_a, totals_b = sums_a.sum(axis=1), sums_b.sum(axis=1)
    own_a, own_b = (
        estimate(own, np.square(sums).sum(axis=1), np.square(totals), num_examples)
        for own, sums, totals in ((products.own_a, sums_a, totals_a), (products.own_b, sums_b, totals_b))
    )
    cross = estimate(products.cross, sums_a @ sums_b.T, np.outer(totals_a, totals_b), num_examples)
    return _Hsic(cross, norms(own_a, sizes.own_a), norms(own_b, sizes.own_b))


def _add(products: GramProducts, diagonals_a: np.ndarray, diagonals_b: np.ndarray) -> GramProducts:
    """The sums including the diagonals."""
    return GramProducts(
        products.cross + diagonals_a @ diagonals_b.T,
        products.own_a + np.square(diagonals_a).sum(axis=1),
        products.own_b + np.square(diagonals_b).sum(axis=1),
    )


def _root_participation(layers: list[CentredLayer]) -> np.ndarray:
    diagonals = square_norms(layers)
    squares = own_products(layers) + np.square(diagonals).sum(axis=1)
    participation: np.ndarray = diagonals.sum(axis=1) / norms(squares, squares)
    return participation
