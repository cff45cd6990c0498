"""Mini-batch CKA: an estimate in a single cheap pass, and how far batches disagree about it.

Axes: A and B layers of two sides, T batches, R resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jobs.numerics.activations import CentredLayer, centred_pair
from jobs.numerics.gram_products import square_norms, tiled_products
from jobs.numerics.hsic import debiased_hsic


@dataclass(frozen=True)
class MinibatchCka:
    """An estimate of debiased CKA with the bounds of its batch bootstrap: (A, B) each."""

    similarity: np.ndarray
    low: np.ndarray
    """NaN for fewer than two batches."""
    high: np.ndarray
    num_batches: int


def minibatch_cka(
    layers_a: Sequence[np.ndarray],
    layers_b: Sequence[np.ndarray] | None = None,
    *,
    batch_size: int = 256,
    seed: int = 0,
    level: float = 0.95,
    num_resamples: int = 1000,
) -> MinibatchCka:
    """The mean of HSIC_1 over batches, before the division: unbiased in HSIC, nearly so in CKA.

    Examples are dealt to batches at random, so that their order on disk tells nothing; the last batch takes
    what is left, up to three more than the others. Bounds resample batches, never rows: a row drawn twice is
    similar to itself, which shifts even the debiased estimate by one or two standard errors.

    Source: Nguyen, Raghu, Kornblith 2021 (arXiv 2010.15327).

    Raises ValueError as `cka_map` does, and for batches of fewer than four.
    """
    if batch_size < 4:
        raise ValueError(f"batch_size must be at least 4, got {batch_size}.")
    a, b = centred_pair(layers_a, layers_b)
    num_examples = a[0].num_examples
    if num_examples < 4:
        raise ValueError(f"debiased CKA needs at least 4 examples, got {num_examples}.")
    rng = np.random.default_rng(seed)
    order = rng.permutation(num_examples)
    starts = [start for start in range(0, num_examples, batch_size) if num_examples - start >= 4]
    batches = np.split(order, starts[1:])
    layers = a if a is b else [*a, *b]
    hsic_TMM = np.stack([_batch_hsic(layers, np.sort(batch)) for batch in batches])
    weights_T = np.array([len(batch) for batch in batches], dtype=float)
    columns = slice(0, None) if a is b else slice(len(a), None)
    similarity = _ratio(np.tensordot(weights_T, hsic_TMM, 1), len(a), columns)
    if len(batches) < 2:
        unknown = np.full_like(similarity, np.nan)
        return MinibatchCka(similarity, unknown, unknown, len(batches))
    draws_RT = rng.multinomial(len(batches), np.full(len(batches), 1 / len(batches)), size=num_resamples)
    resampled = np.stack(
        [_ratio(np.tensordot(draws_T * weights_T, hsic_TMM, 1), len(a), columns) for draws_T in draws_RT]
    )
    tail = (1 - level) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail], axis=0)
    return MinibatchCka(similarity, low, high, len(batches))


def _batch_hsic(layers: Sequence[CentredLayer], batch: np.ndarray) -> np.ndarray:
    """HSIC_1 of all pairs on some rows, which are centred on their own means."""
    rows = [_picked(layer, batch) for layer in layers]
    products_MM, _ = tiled_products(rows)
    diagonals_MN = square_norms(rows)
    traces_M = diagonals_MN.sum(axis=1)
    count = len(batch)
    hsic_MM = debiased_hsic(products_MM, diagonals_MN @ diagonals_MN.T, np.outer(traces_M, traces_M), count)
    return hsic_MM / (count * (count - 3))


def _picked(layer: CentredLayer, batch: np.ndarray) -> CentredLayer:
    """Some rows on the scale of the whole layer, so that batches can be averaged."""
    values_ND = layer.values_ND[batch]
    return CentredLayer(values_ND, values_ND.mean(axis=0, dtype=np.float64), layer.scale)


def _ratio(hsic_MM: np.ndarray, num_a: int, columns: slice) -> np.ndarray:
    own_M = hsic_MM.diagonal()
    norms_M = np.sqrt(np.where(own_M > 0, own_M, np.nan))
    return (hsic_MM / np.outer(norms_M, norms_M))[:num_a, columns]
