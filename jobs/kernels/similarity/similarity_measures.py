"""Similarity measures between layers: CKA and others, in one function.

Axes: N examples, D features, P pairs of examples, K neighbours.

All are 1 for a layer with itself and invariant to rotation, translation and scaling of either layer. They
differ in other invariances and in the value for unrelated layers:

| measure | range | also invariant to | unrelated layers |
|---|---|---|---|
| cka | at most 1 | | near 0 (debiased) |
| procrustes | 0..1 | | grows with features / examples |
| svcca | 0..1 | | grows with features / examples |
| pwcca | 0..1 | any invertible map of the second layer; not symmetric | grows with features / examples |
| rsa | -1..1 | monotone changes of all distances | near 0 |
| mutual_knn | 0..1 | what keeps the order of near neighbours | K / (N - 1) |
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from scipy import stats

from layerscope.jobs.kernels.arrays import Floats
from layerscope.jobs.kernels.similarity.activations import CentredLayer, centred_pair
from layerscope.jobs.kernels.similarity.cka import cka_map

Measure = Literal["cka", "procrustes", "svcca", "pwcca", "rsa", "mutual_knn"]
Prepared = TypeVar("Prepared")

_KEPT_VARIANCE = 0.99
_RANK = 1e-6
"""Singular values up to this share of the largest are float32 rounding."""
_NEIGHBOURS = 10


def similarity_map(
    layers_a: Sequence[np.ndarray],
    layers_b: Sequence[np.ndarray] | None = None,
    measure: Measure = "cka",
) -> np.ndarray:
    """Similarity of each layer with each other: float64 (len(a), len(b)), NaN for constant layers.

    "rsa" and "mutual_knn" use all pairs of examples; rsa needs 8 N^2 bytes for each layer.

    Raises ValueError for an unknown measure, as `cka_map` does, and for svcca and pwcca of layers that
    together have at least as many directions as examples: some then correlate perfectly, whatever the data.
    """
    if measure not in get_args(Measure):
        raise ValueError(f"measure {measure!r} does not exist: there is {', '.join(get_args(Measure))}.")
    if measure == "cka":
        return cka_map(layers_a, layers_b)
    prepare, compare = _MEASURES[measure]
    a, b = centred_pair(layers_a, layers_b)
    prepared_a = [_prepared(layer, prepare) for layer in a]
    prepared_b = prepared_a if a is b else [_prepared(layer, prepare) for layer in b]
    return np.array(
        [
            [np.nan if one is None or other is None else compare(one, other) for other in prepared_b]
            for one in prepared_a
        ]
    )


def _prepared(layer: CentredLayer, prepare: Callable[[np.ndarray], Prepared]) -> Prepared | None:
    return None if layer.is_constant else prepare(layer.rows().astype(np.float64))


def _same(layer_ND: np.ndarray) -> np.ndarray:
    return layer_ND


def _procrustes(a_ND: np.ndarray, b_ND: np.ndarray) -> float:
    """||A'B||_* of layers of norm 1: 1 minus half the squared distance after the best rotation.

    Source: Schoenemann 1966; Ding, Denain, Steinhardt 2021 (arXiv 2108.01661).
    """
    return float(np.linalg.svd(a_ND.T @ b_ND, compute_uv=False).sum())


def _basis(layer_ND: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An orthonormal basis of a layer's column space (N, rank), and its singular values."""
    left, values, _ = np.linalg.svd(layer_ND, full_matrices=False)
    kept = values > _RANK * values[0]
    return left[:, kept], values[kept]


def _kept_basis(layer_ND: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same for the first principal directions, which hold 99 % of the variance."""
    left, values = _basis(layer_ND)
    shares = np.cumsum(np.square(values)) / np.square(values).sum()
    count = int(np.searchsorted(shares, _KEPT_VARIANCE - 1e-12)) + 1
    return left[:, :count], values[:count]


def _refuse_few_examples(*bases: np.ndarray) -> None:
    num_examples = len(bases[0])
    ranks = [basis.shape[1] for basis in bases]
    if sum(ranks) > num_examples - 1:
        raise ValueError(
            f"a canonical correlation needs more examples than directions of both layers: {num_examples} "
            f"examples and {ranks[0]} + {ranks[1]} directions correlate perfectly whatever they hold."
        )


def _svcca(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> float:
    """Mean canonical correlation. Source: Raghu et al. 2017 (arXiv 1706.05806)."""
    _refuse_few_examples(a[0], b[0])
    return float(np.linalg.svd(a[0].T @ b[0], compute_uv=False).clip(max=1).mean())


def _pwcca(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> float:
    """Canonical correlations weighted by how much of the first layer each of its variates accounts for.

    Source: Morcos, Raghu, Bengio 2018 (arXiv 1806.05759), whose weights are sums over columns x_j of
    |<h_i, x_j>|. Here the columns are principal components, because those sums depend on the rotation.
    """
    (basis_a, values_a), (basis_b, _) = a, b
    _refuse_few_examples(basis_a, basis_b)
    turn, correlations, _ = np.linalg.svd(basis_a.T @ basis_b, full_matrices=False)
    weights = np.abs(turn.T * values_a).sum(axis=1)
    return float(np.average(correlations.clip(max=1), weights=weights))


def _ranked_distances(layer_ND: np.ndarray) -> np.ndarray:
    """Ranks of the squared distances of all pairs of examples, centred and of norm 1: (P,)."""
    squares = _square_distances(layer_ND)[np.triu_indices(len(layer_ND), 1)]
    ranks = stats.rankdata(squares)
    ranks -= ranks.mean()
    norm = np.linalg.norm(ranks)
    return ranks / norm if norm else np.full_like(ranks, np.nan)


def _rsa(a_P: np.ndarray, b_P: np.ndarray) -> float:
    """Spearman correlation of distances. Source: Kriegeskorte, Mur, Bandettini 2008."""
    return float(a_P @ b_P)


def _neighbours(layer_ND: np.ndarray) -> np.ndarray:
    """Whether example j is one of the nearest neighbours of i: boolean (N, N). Ties go to the earlier
    example."""
    distances = _square_distances(layer_ND)
    np.fill_diagonal(distances, np.inf)
    count = min(_NEIGHBOURS, len(layer_ND) - 1)
    nearest_NK = np.argsort(distances, axis=1, kind="stable")[:, :count]
    near = np.zeros(distances.shape, dtype=bool)
    np.put_along_axis(near, nearest_NK, True, axis=1)
    return near


def _mutual_knn(a_NN: np.ndarray, b_NN: np.ndarray) -> float:
    """Share of the nearest neighbours that both have. Source: Huh et al. 2024 (arXiv 2405.07987)."""
    return float(np.count_nonzero(a_NN & b_NN) / np.count_nonzero(a_NN))


def _square_distances(layer_ND: Floats) -> Floats:
    squares_N: Floats = np.square(layer_ND).sum(axis=1)
    return squares_N[:, None] + squares_N - 2 * layer_ND @ layer_ND.T


_MEASURES: dict[str, tuple[Callable[[np.ndarray], Any], Callable[[Any, Any], float]]] = {
    "procrustes": (_same, _procrustes),
    "svcca": (_kept_basis, _svcca),
    "pwcca": (_basis, _pwcca),
    "rsa": (_ranked_distances, _rsa),
    "mutual_knn": (_neighbours, _mutual_knn),
}
