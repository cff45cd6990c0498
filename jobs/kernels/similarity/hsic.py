"""The Hilbert-Schmidt independence criterion from sums over Gram matrices, and CKA as its cosine.

K and L are two Gram matrices over n examples. Everything here takes the sums of all pairs of layers at once.
"""

import numpy as np

_CANCELLED = 1e-5
"""The debiased norm is a difference of sums that float32 products know to 1e-7 of the biased norm, or to some
1e-6 where all roundings point the same way. Below this part of the biased norm the difference is rounding:
all rows are equally far apart, or all but one are the same."""


def debiased_hsic(
    products: np.ndarray, row_products: np.ndarray, total_products: np.ndarray, num_examples: int
) -> np.ndarray:
    """n (n - 3) HSIC_1 (Song et al. 2012, JMLR 13, equation 5) of matrices without their diagonals.

    Takes the sums of K_ij L_ij, of the products of their row sums, and the product of their totals. CKA
    cancels the factor. Rows of a centred linear Gram matrix sum to zero, so without its diagonal row i sums
    to -K_ii.
    """
    n = num_examples
    return products - 2 / (n - 2) * row_products + total_products / ((n - 1) * (n - 2))


def biased_hsic(
    products: np.ndarray, row_products: np.ndarray, total_products: np.ndarray, num_examples: int
) -> np.ndarray:
    """tr(KHLH) of whole matrices, H = I - 11'/n (Gretton et al. 2005), from the same three sums."""
    return products - 2 / num_examples * row_products + total_products / num_examples**2


def norms(own: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Square root of each layer's HSIC with itself; NaN where it is zero or nothing but rounding.

    `size` is the sum of squares of which `own` is left after subtraction.
    """
    return np.sqrt(np.where(own > _CANCELLED * size, own, np.nan))


def refuse_few_examples(num_examples: int, *, debiased: bool) -> None:
    """Raises ValueError where the debiased estimate does not exist."""
    if debiased and num_examples < 4:
        raise ValueError(f"debiased CKA needs at least 4 examples, got {num_examples}.")
