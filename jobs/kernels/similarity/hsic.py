"""The Hilbert-Schmidt independence criterion (HSIC) from sums over Gram matrices, and the norms for CKA.

K and L are two Gram matrices over n examples. All functions take the sums of all pairs of layers at once.
"""

import numpy as np

_CANCELLED = 1e-5
"""The debiased norm is a difference of sums with float32 errors of 1e-7 of the biased norm, or about 1e-6 if
all rounding errors have the same sign. At or below this share of the biased norm the difference is only
rounding: all rows are equally far apart, or all but one are equal."""


def debiased_hsic(
    products: np.ndarray, row_products: np.ndarray, total_products: np.ndarray, num_examples: int
) -> np.ndarray:
    """n (n - 3) HSIC_1 (Song et al. 2012, JMLR 13, equation 5) of matrices without their diagonals.

    `products` is the sum of K_ij L_ij, `row_products` the sum of the products of row sums, `total_products`
    the product of the totals. The factor n (n - 3) cancels in CKA. Rows of a centred linear Gram matrix sum
    to zero, so without its diagonal row i sums to -K_ii.
    """
    n = num_examples
    return products - 2 / (n - 2) * row_products + total_products / ((n - 1) * (n - 2))


def biased_hsic(
    products: np.ndarray, row_products: np.ndarray, total_products: np.ndarray, num_examples: int
) -> np.ndarray:
    """tr(KHLH) of full matrices, H = I - 11'/n (Gretton et al. 2005), from the same three sums."""
    return products - 2 / num_examples * row_products + total_products / num_examples**2


def norms(own: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Square root of each layer's HSIC with itself; NaN if it is zero or only rounding error.

    `own` is what is left of `size`, a sum of squares, after subtraction.
    """
    return np.sqrt(np.where(own > _CANCELLED * size, own, np.nan))


def refuse_few_examples(num_examples: int, *, debiased: bool) -> None:
    """Raises ValueError for fewer than four examples, for which the debiased estimate does not exist."""
    if debiased and num_examples < 4:
        raise ValueError(f"debiased CKA needs at least 4 examples, got {num_examples}.")
