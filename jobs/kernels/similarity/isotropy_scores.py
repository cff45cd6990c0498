"""Isotropy of a layer's representations: effective dimensions, evenness, and separation of labels.

Axes: L layers, N examples, D features.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

_BAND_ENTRIES = 8_000_000
"""Squared distances held at once (64 MB)."""

_CANDIDATES = 4
"""Neighbours whose distance is computed exactly, to find two: products cannot order near ties."""

_DISCARDED = 0.1
"""Share of the largest distance ratios that TwoNN leaves out, as in the paper."""


@dataclass(frozen=True)
class Spread:
    """One value per layer; NaN where a layer has no such value."""

    effective_rank_L: np.ndarray
    """exp of the entropy of the singular values as shares of their sum (Roy and Vetterli 2007), 1 to D."""
    participation_ratio_L: np.ndarray
    """(sum of variances)^2 / sum of squared variances over the principal directions, 1 to D."""
    mean_cosine_L: np.ndarray
    """Mean cosine of two different examples, not centred (Ethayarajh 2019): 0 for evenly distributed
    directions, near 1 if all vectors have nearly the same direction."""
    isoscore_L: np.ndarray
    """IsoScore (Rudman et al. 2022): 0 for one direction, 1 for equal variance in all."""
    intrinsic_dimension_L: np.ndarray
    """TwoNN (Facco et al. 2017) on the distinct examples."""
    between_within_L: np.ndarray
    """Variance between the labels' centroids over the variance within labels; NaN without labels."""


def measure_spread(layers_LND: Sequence[np.ndarray], labels_N: Sequence[int] | None = None) -> Spread:
    """All measures of all layers, which may differ in width.

    Ranks, IsoScore and variances are computed on centred layers. For a layer that is the same for all
    examples rank, participation ratio, IsoScore, dimension and variance ratio are NaN.

    Raises ValueError for fewer than 3 examples, values that are not finite, and a different number of labels.
    """
    measured = [measure_layer(np.asarray(layer_ND), labels_N) for layer_ND in layers_LND]
    return Spread(*(np.array(column) for column in zip(*measured, strict=True)))


def measure_layer(layer_ND: np.ndarray, labels_N: Sequence[int] | None) -> tuple[float, ...]:
    """The fields of `Spread` for one layer, in their order."""
    if layer_ND.ndim != 2 or len(layer_ND) < 3 or not np.isfinite(layer_ND).all():
        raise ValueError(
            f"a layer must be (examples, features), finite, with 3 examples or more; got {layer_ND.shape}."
        )
    layer_ND = layer_ND.astype(np.float64)
    variances_D = _variances(layer_ND)
    ratio = participation_ratio(variances_D)
    return (
        effective_rank(variances_D),
        ratio,
        mean_cosine(layer_ND),
        isoscore(ratio, layer_ND.shape[1]),
        two_nn_dimension(layer_ND),
        float("nan") if labels_N is None else between_within_ratio(layer_ND, labels_N),
    )


def effective_rank(variances_D: np.ndarray) -> float:
    """Effective rank from the variances along the principal directions (squared singular values over N)."""
    singular_D = np.sqrt(variances_D)
    if not singular_D.sum():
        return float("nan")
    shares = singular_D[singular_D > 0] / singular_D.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def participation_ratio(variances_D: np.ndarray) -> float:
    """The number of directions with equal variance that would give the same ratio."""
    squares = np.square(variances_D).sum()
    return float(np.square(variances_D.sum()) / squares) if squares else float("nan")


def isoscore(participation: float, width: int) -> float:
    """(PR - 1) / (D - 1), which equals the published procedure.

    That scales the variances to v = sqrt(D) v / |v|, takes the defect d = |v - 1| / sqrt(2 (D - sqrt D)),
    then phi = (D - d^2 (D - sqrt D))^2 / D^2 and (D phi - 1) / (D - 1). As |v - 1|^2 = 2 D - 2 sqrt(D PR),
    phi is PR / D. So IsoScore ranks layers of one width as the participation ratio does.
    """
    return (participation - 1) / (width - 1) if width > 1 else float("nan")


def mean_cosine(layer_ND: np.ndarray) -> float:
    """Mean cosine over all pairs of different examples, from the sum of unit vectors, without zero rows."""
    lengths_N = np.linalg.norm(layer_ND, axis=1)
    units_ND = layer_ND[lengths_N > 0] / lengths_N[lengths_N > 0, None]
    num_examples = len(units_ND)
    if num_examples < 2:
        return float("nan")
    total_D = units_ND.sum(axis=0)
    return float((total_D @ total_D - num_examples) / (num_examples * (num_examples - 1)))


def two_nn_dimension(layer_ND: np.ndarray) -> float:
    """The slope through the origin of -log(1 - F) over log of the ratio of the two nearest distances.

    F is the empirical distribution function of the ratios; the tenth with the largest ratios is left out. NaN
    for fewer than 3 distinct examples, and if all remaining ratios are 1.
    """
    distinct_ND = np.unique(layer_ND, axis=0)
    if len(distinct_ND) < 3:
        return float("nan")
    nearest_N2 = _two_nearest(distinct_ND - distinct_ND.mean(axis=0))
    log_ratios_N = np.sort(np.log(nearest_N2[:, 1] / nearest_N2[:, 0]))
    num_kept = max(1, int((1 - _DISCARDED) * len(log_ratios_N)))
    kept = log_ratios_N[:num_kept]
    rises = -np.log1p(-np.arange(1, num_kept + 1) / len(log_ratios_N))
    return float(rises @ kept / (kept @ kept)) if kept.any() else float("nan")


def between_within_ratio(layer_ND: np.ndarray, labels: ArrayLike) -> float:
    """Trace of the scatter between labels over the trace within labels; infinite if every label is one
    point."""
    labels_N = np.asarray(labels)
    if labels_N.shape != (len(layer_ND),):
        raise ValueError(f"{len(layer_ND)} examples need as many labels, got an array of {labels_N.shape}.")
    total = np.square(layer_ND - layer_ND.mean(axis=0)).sum()
    within = sum(
        np.square(group_ND - group_ND.mean(axis=0)).sum()
        for group_ND in (layer_ND[labels_N == label] for label in np.unique(labels_N))
    )
    if not total:
        return float("nan")
    return float((total - within) / within) if within else float("inf")


def _variances(layer_ND: np.ndarray) -> np.ndarray:
    """Variances along the principal directions, min(N, D) of them, from the smaller product."""
    centred_ND = layer_ND - layer_ND.mean(axis=0)
    # A spread within the rounding of the values counts as zero: activations are float32 at best.
    if np.abs(centred_ND).max() <= np.finfo(np.float32).eps * np.abs(layer_ND).max():
        return np.zeros(1)
    wide = centred_ND.shape[1] > len(centred_ND)
    product = centred_ND @ centred_ND.T if wide else centred_ND.T @ centred_ND
    variances = np.linalg.eigvalsh(product) / len(centred_ND)
    # Eigenvalues have errors of some eps of the largest, whose square roots would count as rank.
    floor = variances.max() * len(product) * np.finfo(np.float64).eps
    return np.where(variances > floor, variances, 0)


def _two_nearest(points_ND: np.ndarray) -> np.ndarray:
    """Distances (N, 2) to the two nearest other points: products find candidates, differences measure
    them."""
    squares_N = np.square(points_ND).sum(axis=1)
    num_candidates = min(_CANDIDATES, len(points_ND) - 1)
    band = max(1, _BAND_ENTRIES // len(points_ND))
    nearest = []
    for start in range(0, len(points_ND), band):
        rows_BD = points_ND[start : start + band]
        squared_BN = squares_N - 2 * rows_BD @ points_ND.T
        squared_BN[np.arange(len(rows_BD)), start + np.arange(len(rows_BD))] = np.inf
        candidates_BK = np.argpartition(squared_BN, num_candidates - 1, axis=1)[:, :num_candidates]
        exact_BK = np.stack(
            [np.linalg.norm(rows_BD - points_ND[column_B], axis=1) for column_B in candidates_BK.T], axis=1
        )
        nearest.append(np.sort(exact_BK, axis=1)[:, :2])
    return np.concatenate(nearest)
