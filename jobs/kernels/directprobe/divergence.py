"""Divergence of two geometries of the same labels: correlation of distances, shift of centroids.

Computes the comparisons of Zhou and Srikumar (2022, arXiv 2106.14282): train against test, before against
after fine-tuning, one step against the next. The caller provides the distances.

Axes: K labels, N examples, D features, T steps, P pairs of labels, R resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist

from layerscope.jobs.kernels.arrays import Floats
from layerscope.jobs.kernels.statistics.intervals import Interval

_LEVEL = 0.95
"""Confidence level of intervals."""
_FEWEST_LABELS = 6
"""Minimum for bounds: with five labels, one resample in ten has at most one pair, so no correlation."""


@dataclass(frozen=True)
class DistanceChange:
    """How the labels' nearest distances changed."""

    num_rising: int
    num_falling: int
    mean: float


@dataclass(frozen=True)
class CentroidShift:
    """How the labels' centroids moved; NaN for a label without examples."""

    vector_KD: np.ndarray
    norm_K: np.ndarray


@dataclass(frozen=True)
class CentroidPaths:
    """The labels' centroids at every step, in one projection for all steps."""

    position_TKC: np.ndarray
    share_C: np.ndarray
    """Explained variance ratio of each component, over all examples of all steps."""


def compare_distances(
    distances_a_KK: np.ndarray, distances_b_KK: np.ndarray, *, num_resamples: int = 2000, seed: int
) -> Interval:
    """Pearson's correlation over all pairs of labels, with percentile bootstrap bounds (95 %).

    The bootstrap resamples labels, not pairs: one label that moves changes K - 1 pairs, so pairs are not
    independent and resampling them would give bounds far too narrow. The weight of a pair is the product of
    its labels' counts in the resample; a label sampled twice forms no pair with itself. Pairs that are NaN on
    either side are left out, and so are resamples without a correlation. With fewer than 6 labels the bounds
    are NaN; with fewer than 3 known pairs, or if a side is constant, everything is NaN.

    Raises ValueError unless both are symmetric matrices of the same labels.
    """
    a_KK, b_KK = _checked(distances_a_KK, "distances_a"), _checked(distances_b_KK, "distances_b")
    if a_KK.shape != b_KK.shape:
        raise ValueError(f"both need the same labels, got {len(a_KK)} and {len(b_KK)} of them.")
    num_labels = len(a_KK)
    first_P, second_P = np.triu_indices(num_labels, k=1)
    known_P = np.isfinite(a_KK[first_P, second_P] + b_KK[first_P, second_P])
    if known_P.sum() < 3:
        return Interval(float("nan"), float("nan"), float("nan"))
    first_P, second_P = first_P[known_P], second_P[known_P]
    a_P, b_P = a_KK[first_P, second_P], b_KK[first_P, second_P]

    draws_RK = np.random.default_rng(seed).multinomial(
        num_labels, np.full(num_labels, 1 / num_labels), size=num_resamples
    )
    estimate = _pearson(a_P, b_P, np.ones((1, len(a_P))))[0]
    if num_labels < _FEWEST_LABELS:
        return _interval(estimate, np.array([]))
    # float64, because integer matrix products are fifty times slower.
    weights_RP = (draws_RK[:, first_P] * draws_RK[:, second_P]).astype(np.float64)
    return _interval(estimate, _pearson(a_P, b_P, weights_RP))


def nearest_distances(distances_KK: np.ndarray) -> np.ndarray:
    """Each label's smallest distance to another label; leading axes (steps, layers) are kept: (..., K).

    NaN distances are ignored; a label without a known distance is NaN.
    """
    distances = np.asarray(distances_KK, dtype=np.float64)
    if distances.ndim < 2 or distances.shape[-1] != distances.shape[-2]:
        raise ValueError(f"distances must be (..., labels, labels), got {distances.shape}.")
    own = np.eye(distances.shape[-1], dtype=bool)
    nearest = np.where(own | np.isnan(distances), np.inf, distances).min(axis=-1)
    return np.where(np.isinf(nearest), np.nan, nearest)


def change_of(before_K: np.ndarray, after_K: np.ndarray) -> DistanceChange:
    """How many labels' distances rose and fell, and the mean change, over labels known before and after.

    Raises ValueError if no label is known before and after.
    """
    change_K = np.asarray(after_K, dtype=np.float64) - np.asarray(before_K, dtype=np.float64)
    known = change_K[np.isfinite(change_K)]
    if not len(known):
        raise ValueError("no label has a distance before and after.")
    return DistanceChange(int((known > 0).sum()), int((known < 0).sum()), float(known.mean()))


def shift_centroids(
    before_ND: np.ndarray, after_ND: np.ndarray, labels_N: Sequence[int], *, num_labels: int
) -> CentroidShift:
    """The difference of each label's centroids in two sets of states of the same examples."""
    before_ND, after_ND = np.asarray(before_ND), np.asarray(after_ND)
    if before_ND.shape != after_ND.shape:
        raise ValueError(f"states of one shape are needed, got {before_ND.shape} and {after_ND.shape}.")
    vector_KD = centroids(after_ND, labels_N, num_labels=num_labels) - centroids(
        before_ND, labels_N, num_labels=num_labels
    )
    return CentroidShift(vector_KD, np.linalg.norm(vector_KD, axis=1))


def shift_plane(vector_KD: np.ndarray) -> tuple[np.ndarray, float]:
    """The centred shifts along their two principal components (K, 2), and the explained variance ratio.

    A shift that all labels share does not change their relative positions, so the mean is subtracted. The
    largest loading of a component is positive, which fixes its sign. A label with an unknown shift is NaN;
    the ratio is NaN if all labels shift equally, up to the rounding of float32 states.

    Raises ValueError if no shift is known.
    """
    vector_KD = np.asarray(vector_KD, dtype=np.float64)
    known_K = np.isfinite(vector_KD).all(axis=1)
    if not known_K.any():
        raise ValueError("no label has a known shift.")
    centred_KD = vector_KD - vector_KD[known_K].mean(axis=0)
    _, lengths, directions_RD = np.linalg.svd(centred_KD[known_K], full_matrices=False)
    directions_RD = directions_RD[:2]
    largest_R = np.take_along_axis(directions_RD, np.abs(directions_RD).argmax(axis=1)[:, None], axis=1)
    position_KR = centred_KD @ (directions_RD * np.where(largest_R < 0, -1, 1)).T
    position_K2 = np.pad(position_KR, ((0, 0), (0, 2 - position_KR.shape[1])))
    position_K2[~known_K] = np.nan
    total = np.square(lengths).sum()
    nothing = np.square(np.finfo(np.float32).eps * vector_KD[known_K]).sum()
    return position_K2, float(np.square(lengths[:2]).sum() / total) if total > nothing else float("nan")


def follow_centroids(
    states_TND: Sequence[np.ndarray], labels: ArrayLike, *, num_labels: int, num_components: int = 2
) -> CentroidPaths:
    """Trajectories of the centroids in the principal components of the states of all steps together.

    One PCA serves all steps: with one PCA per step, even a constant centroid would appear to move. The
    largest loading of a component is positive, which fixes its sign. Explained variance ratios are NaN if all
    states are equal, up to the rounding of float32.
    """
    if not len(states_TND) or len({np.shape(states_ND) for states_ND in states_TND}) > 1:
        raise ValueError("paths need one step or more, with states of one shape at every step.")
    width = np.shape(states_TND[0])[1]
    if not 1 <= num_components <= width:
        raise ValueError(f"there are 1 to {width} components, not {num_components}.")
    every_ND = np.concatenate([np.asarray(states_ND, dtype=np.float64) for states_ND in states_TND])
    mean_D = every_ND.mean(axis=0)
    variances_D, directions_DD = np.linalg.eigh((every_ND - mean_D).T @ (every_ND - mean_D))
    directions_DC = directions_DD[:, ::-1][:, :num_components]
    largest_C = np.take_along_axis(directions_DC, np.abs(directions_DC).argmax(axis=0)[None], axis=0)
    directions_DC = directions_DC * np.where(largest_C < 0, -1, 1)
    total, nothing = variances_D.sum(), np.square(np.finfo(np.float32).eps * every_ND).sum()
    share_C = variances_D[::-1][:num_components] / (total if total > nothing else np.nan)
    position_TKC = np.stack(
        [
            (centroids(states_ND, labels, num_labels=num_labels) - mean_D) @ directions_DC
            for states_ND in states_TND
        ]
    )
    return CentroidPaths(position_TKC, share_C)


def path_lengths(centroid_TKD: np.ndarray) -> np.ndarray:
    """The total length of each centroid's trajectory: (K,)."""
    length_K: np.ndarray = np.linalg.norm(np.diff(centroid_TKD, axis=0), axis=2).sum(axis=0)
    return length_K


def closest_labels(centroid_KD: np.ndarray, *, num_closest: int) -> list[int]:
    """Greedily chosen labels with close centroids: the closest pair, then one by one the label closest to
    them.

    The closest label has the smallest sum of distances to the chosen ones. Returns all known labels if there
    are at most `num_closest`. Sorted by label number.
    """
    known = np.flatnonzero(np.isfinite(centroid_KD).all(axis=1))
    if len(known) <= num_closest:
        return known.tolist()
    distance_KK = cdist(centroid_KD[known], centroid_KD[known])
    np.fill_diagonal(distance_KK, np.inf)
    taken = [int(place) for place in np.unravel_index(distance_KK.argmin(), distance_KK.shape)]
    while len(taken) < num_closest:
        taken.append(int(distance_KK[taken].sum(axis=0).argmin()))
    return sorted(known[taken].tolist())


def centroids(states_ND: np.ndarray, labels: ArrayLike, *, num_labels: int) -> np.ndarray:
    """Mean state of each label, float64 (K, D); NaN for a label without examples.

    Raises ValueError unless all states are finite and each has a label in 0..num_labels - 1.
    """
    states_ND, labels_N = np.asarray(states_ND, dtype=np.float64), np.asarray(labels)
    if states_ND.ndim != 2 or labels_N.shape != (len(states_ND),) or not len(states_ND):
        raise ValueError(
            f"states must be (examples, features) with a label each, got {states_ND.shape} and "
            f"{labels_N.shape}."
        )
    if labels_N.min() < 0 or labels_N.max() >= num_labels:
        raise ValueError(
            f"labels run from {labels_N.min()} to {labels_N.max()}: with num_labels={num_labels} they must "
            f"lie in 0 to {num_labels - 1}."
        )
    if not np.isfinite(states_ND).all():
        raise ValueError("states have values that are not finite.")
    counts_K = np.bincount(labels_N, minlength=num_labels)[:, None]
    members_KN = (labels_N == np.arange(num_labels)[:, None]).astype(np.float64)
    return np.where(counts_K > 0, members_KN @ states_ND / np.maximum(counts_K, 1), np.nan)


def _checked(distances_KK: np.ndarray, name: str) -> np.ndarray:
    distances_KK = np.asarray(distances_KK, dtype=np.float64)
    if distances_KK.ndim != 2 or not np.array_equal(distances_KK, distances_KK.T, equal_nan=True):
        raise ValueError(
            f"{name} must be a symmetric matrix of labels, got an array of {distances_KK.shape}."
        )
    return distances_KK


def _interval(estimate: float, resampled_R: np.ndarray) -> Interval:
    resampled_R = resampled_R[np.isfinite(resampled_R)]
    if not np.isfinite(estimate) or not len(resampled_R):
        return Interval(float(estimate), float("nan"), float("nan"))
    low, high = np.quantile(resampled_R, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Interval(float(estimate), float(low), float(high))


def _pearson(a_P: np.ndarray, b_P: np.ndarray, weights_RP: np.ndarray) -> np.ndarray:
    """Weighted correlation for each row of weights (R,); NaN if a side is constant over the weighted
    pairs."""
    total_R1 = np.maximum(weights_RP.sum(axis=1, keepdims=True), 1)
    centred_a, centred_b = (
        values - (weights_RP * values).sum(axis=1, keepdims=True) / total_R1 for values in (a_P, b_P)
    )
    squares_a, squares_b = ((weights_RP * c**2).sum(axis=1) for c in (centred_a, centred_b))
    # Because the mean is rounded, a constant side has a small nonzero variance (some eps of its squares).
    varies_R = (squares_a > _rounding(a_P, weights_RP)) & (squares_b > _rounding(b_P, weights_RP))
    norms_R = np.sqrt(squares_a * squares_b)
    products_R = (weights_RP * centred_a * centred_b).sum(axis=1)
    correlation_R: Floats = np.divide(products_R, norms_R, out=np.full(len(norms_R), np.nan), where=varies_R)
    return correlation_R


def _rounding(values_P: np.ndarray, weights_RP: np.ndarray) -> Floats:
    rounding_R: Floats = np.finfo(np.float64).eps ** 1.5 * (weights_RP * values_P**2).sum(axis=1)
    return rounding_R
