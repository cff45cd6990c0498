"""DirectProbe: linearly separable clusters that cover labelled points, and the distances between them.

Zhou and Srikumar 2021, "DirectProbe: Studying Representations without Classifiers" (arXiv 2104.05904). The
clusters are those of the paper. Unlike in the paper, labels that a plane separates are not clustered,
and every result comes with its proof.

Axes: N points, D coordinates, C labels, K clusters, V vetoes, S planes.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.spatial.distance import cdist

from layerscope.jobs.kernels.directprobe.conflicting_labels import (
    Duplicates,
    listed,
    same_points,
    without_contradictions,
)
from layerscope.jobs.kernels.directprobe.hulls import HullDistance, hull_distance, rough_distance
from layerscope.jobs.kernels.directprobe.label_planes import LabelPlanes, label_planes
from layerscope.jobs.kernels.directprobe.vetoes import Veto, vetoed_clusters
from layerscope.jobs.kernels.directprobe.whitening import Whitened, whiten

Distances = Literal["rough", "different", "all"]

_DROPPED = -1


@dataclass(frozen=True)
class Planes:
    """One separating hyperplane for each pair of clusters of different labels."""

    pair_S2: np.ndarray
    """Cluster numbers, the lower one first."""

    normal_SD: np.ndarray
    """Unit vector from the second cluster to the first; 0 for a pair closer than the resolution of
    float64."""

    offset_S: np.ndarray
    """points @ normal is above the offset for the first cluster and below it for the second."""

    margin_S: np.ndarray
    """Along the normal, from the lowest point of the first cluster to the highest of the second."""


@dataclass(frozen=True)
class DirectProbe:
    """Clusters of labelled points, proofs that they are right, and the distances between them."""

    cluster_N: np.ndarray
    """The cluster of each row, -1 for rows that were dropped. Clusters are numbered by label, then by row."""

    label_of_cluster_K: np.ndarray
    labels_C: np.ndarray
    """Labels that occur, ascending."""

    planes: Planes
    veto_KK: np.ndarray
    """Index into `vetoes` for each pair of clusters of one label: the proof that they must not merge; -1
    elsewhere."""

    vetoes: tuple[Veto, ...]
    distance_lower_KK: np.ndarray
    distance_upper_KK: np.ndarray
    """The distance between the hulls of two clusters lies between both bounds. If it was not requested, the
    lower bound is the margin of the pair's plane (0 inside a label) and the upper bound is the distance of
    two points inside the hulls, mostly the centroids."""

    num_points_C: np.ndarray
    rank: int
    """Dimension of the space that the points span."""

    changed_rows: np.ndarray
    """Rows that were dropped or relabelled because the same point has another label."""

    @property
    def num_clusters(self) -> int:
        return len(self.label_of_cluster_K)

    @property
    def is_linear(self) -> bool:
        """Whether every label is one cluster: a linear classifier then makes no error on these points."""
        return self.num_clusters == len(self.labels_C)

    def label_distances(self, over: Literal["least", "mean"]) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper bounds (C, C) of the smallest or mean distance over the cluster pairs of two
        labels.

        The papers report the mean. A label has distance 0 to itself.
        """
        member_CK = self.labels_C[:, None] == self.label_of_cluster_K[None]
        starts = member_CK.argmax(axis=1)
        join = np.minimum if over == "least" else np.add
        ends = []
        for distance_KK in (self.distance_lower_KK, self.distance_upper_KK):
            rows = join.reduceat(distance_KK, starts, axis=0)
            ends.append(join.reduceat(rows, starts, axis=1))
        if over == "mean":
            sizes_C = member_CK.sum(axis=1)
            # Sums over rows and over columns round differently; a distance is symmetric.
            ends = [(end + end.T) / 2 / np.outer(sizes_C, sizes_C) for end in ends]
        for end in ends:
            np.fill_diagonal(end, 0)
        return ends[0], ends[1]

    @property
    def pair_capacity(self) -> np.ndarray:
        """Points of two labels over dimensions + 1. At 1 or less every labelling of points in general
        position is separable, and at less than 2 most are (Cover 1965): a linear result then says little."""
        points_CC = self.num_points_C[:, None] + self.num_points_C[None]
        capacity_CC: np.ndarray = points_CC / (self.rank + 1)
        np.fill_diagonal(capacity_CC, np.nan)
        return capacity_CC

    @property
    def notes(self) -> tuple[str, ...]:
        """Cautions for interpreting the clusters."""
        capacity_P = self.pair_capacity[np.triu_indices(len(self.labels_C), 1)]
        notes = []
        if certain := int((capacity_P <= 1).sum()):
            notes.append(
                f"{certain} of {len(capacity_P)} label pairs have no more points than dimensions + 1 "
                f"({self.rank + 1}): any labels of points in general position would be separable."
            )
        if likely := int(((capacity_P > 1) & (capacity_P < 2)).sum()):
            notes.append(
                f"{likely} of {len(capacity_P)} label pairs have fewer points than twice dimensions + 1 "
                f"({2 * (self.rank + 1)}): most labels of points in general position would be separable."
            )
        if len(self.changed_rows):
            notes.append(f"{len(self.changed_rows)} rows have the same point as a row of another label.")
        return tuple(notes)


def direct_probe(
    points_ND: np.ndarray,
    labels_N: np.ndarray,
    *,
    distances: Distances = "different",
    tolerance: float = 1e-6,
    duplicates: Duplicates = "refuse",
    device: str = "cpu",
) -> DirectProbe:
    """Cluster labelled points as DirectProbe does, and measure the distances between clusters.

    The two clusters of one label with the nearest centroids merge, the nearest pair over all labels first,
    unless the hull of the merged cluster would intersect the hull of a cluster of another label; such a pair
    is vetoed for good. All arithmetic is float64. Ties in centroid distance are broken by the order of labels
    and rows, so with ties (and only then) another row order may give other clusters. Hulls closer than 1e-9
    of the point cloud's radius (in whitened coordinates) count as intersecting.

    Distances are computed to `tolerance` for cluster pairs of "different" labels, for "all" pairs, or not at
    all ("rough" bounds). `duplicates` are points with several labels: they raise, or all their rows are
    dropped, or all their rows get the majority label (the lowest in a tie). Products over all points run on
    `device`.

    Raises ValueError for shapes that do not match, values that are not finite, and refused duplicates.
    """
    points_ND, labels_N = _checked(points_ND, labels_N)
    consistent = without_contradictions(points_ND, labels_N, duplicates)
    kept_N = consistent.is_kept_N
    points, label_N = points_ND[kept_N], consistent.label_N[kept_N]
    if not len(points):
        raise ValueError(
            "every row has the same point as a row of another label: nothing is left to cluster."
        )
    labels_C, class_N = np.unique(label_N, return_inverse=True)
    whitened = whiten(torch.from_numpy(points).to(device))
    planes = label_planes(whitened, class_N)
    clusters = _clusters(points, whitened, class_N, planes)
    centroid_KD = _centroids(points, clusters.cluster_N)
    pairs = _measured(points, clusters, whitened, planes, distances, tolerance)
    lower_KK, upper_KK = _distance_matrices(pairs, centroid_KD)
    cluster_of_row_N = np.full(len(points_ND), _DROPPED)
    cluster_of_row_N[kept_N] = clusters.cluster_N
    return DirectProbe(
        cluster_of_row_N,
        labels_C[clusters.class_K],
        labels_C,
        _planes(pairs, clusters.class_K, points.shape[1]),
        clusters.veto_KK,
        tuple(_in_all_rows(veto, np.flatnonzero(kept_N)) for veto in clusters.vetoes),
        lower_KK,
        upper_KK,
        np.bincount(class_N),
        whitened.points_NR.shape[1],
        consistent.changed_rows,
    )


def permuted_num_clusters(
    points_ND: np.ndarray,
    labels_N: np.ndarray,
    *,
    num_permutations: int,
    seed: int,
    device: str = "cpu",
) -> np.ndarray:
    """The number of clusters under each permutation of the labels: a control for the number with true labels.

    If it equals the number of labels, the points are separable only because they are few. A point that occurs
    several times is used once, with its first label, because a permutation would give it several labels.
    """
    points_ND, labels_N = _checked(points_ND, labels_N)
    first_rows = np.unique(same_points(points_ND), return_index=True)[1]
    points = points_ND[first_rows]
    class_N = np.unique(labels_N[first_rows], return_inverse=True)[1]
    whitened = whiten(torch.from_numpy(points).to(device))
    rng = np.random.default_rng(seed)
    counts = []
    for _ in range(num_permutations):
        permuted_N = rng.permutation(class_N)
        found = _clusters(points, whitened, permuted_N, label_planes(whitened, permuted_N))
        counts.append(len(found.veto_KK))
    return np.array(counts)


def _checked(points_ND: np.ndarray, labels_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    points_ND, labels_N = np.asarray(points_ND), np.asarray(labels_N)
    if points_ND.ndim != 2 or not points_ND.size:
        raise ValueError(f"points must be (points, coordinates), one or more of each, got {points_ND.shape}.")
    if labels_N.shape != points_ND.shape[:1]:
        raise ValueError(
            f"there must be one label for each of the {len(points_ND)} points, got {labels_N.shape}."
        )
    points_ND = points_ND.astype(np.float64)
    finite_N = np.isfinite(points_ND).all(axis=1)
    if not finite_N.all():
        raise ValueError(f"points must be finite; these rows are not: {listed(np.flatnonzero(~finite_N))}.")
    return points_ND, labels_N


@dataclass(frozen=True)
class _Clusters:
    cluster_N: np.ndarray
    class_K: np.ndarray
    veto_KK: np.ndarray
    vetoes: tuple[Veto, ...]
    normal_by_pair: dict[tuple[int, int], np.ndarray]
    """Directions (whitened) that separate pairs of clusters of labels that no plane separates."""


def _clusters(
    points_ND: np.ndarray, whitened: Whitened, class_N: np.ndarray, planes: LabelPlanes
) -> _Clusters:
    """Clusters, numbered by label and then by lowest row. Only labels in conflict are clustered."""
    rows = np.flatnonzero(np.any(planes.conflicts_CC, axis=1)[class_N])
    raw_N = len(class_N) + class_N
    found = None
    if len(rows):
        whitened_NR = whitened.points_NR.cpu().numpy()[rows]
        found = vetoed_clusters(points_ND[rows], whitened_NR, class_N[rows], planes.conflicts_CC)
        raw_N[rows] = found.cluster_N
    raw_K, first_K, index_N = np.unique(raw_N, return_index=True, return_inverse=True)
    order_K = np.lexsort((first_K, class_N[first_K]))
    number_K = np.argsort(order_K)
    veto_KK = np.full((len(raw_K), len(raw_K)), -1, dtype=np.int32)
    if found is None:
        return _Clusters(number_K[index_N], class_N[first_K][order_K], veto_KK, (), {})
    num_found = len(found.veto_KK)
    veto_KK[:num_found, :num_found] = found.veto_KK
    return _Clusters(
        number_K[index_N],
        class_N[first_K][order_K],
        veto_KK[np.ix_(order_K, order_K)],
        tuple(_in_all_rows(veto, rows) for veto in found.vetoes),
        {tuple(sorted(number_K[list(pair)])): normal for pair, normal in found.normal_by_pair.items()},
    )


def _in_all_rows(veto: Veto, rows: np.ndarray) -> Veto:
    return Veto(rows[veto.left_rows], veto.left_weights, rows[veto.right_rows], veto.right_weights)


def _centroids(points_ND: np.ndarray, cluster_N: np.ndarray) -> np.ndarray:
    order_N = np.argsort(cluster_N, kind="stable")
    counts_K = np.bincount(cluster_N)
    starts_K = np.concatenate([[0], np.cumsum(counts_K)[:-1]])
    return np.add.reduceat(points_ND[order_N], starts_K, axis=0) / counts_K[:, None]


def _measured(
    points_ND: np.ndarray,
    clusters: _Clusters,
    whitened: Whitened,
    planes: LabelPlanes,
    distances: Distances,
    tolerance: float,
) -> dict[tuple[int, int], HullDistance]:
    """The distance bounds of every pair that needs them, keyed by cluster numbers, the lower first."""
    class_K = clusters.class_K.tolist()
    members_K = [points_ND[clusters.cluster_N == cluster] for cluster in range(len(class_K))]
    map_DR = whitened.map_DR.cpu().numpy()
    measured = {}
    for left, left_PD in enumerate(members_K):
        rights = [
            right
            for right in range(left + 1, len(class_K))
            if class_K[left] != class_K[right] or distances == "all"
        ]
        start_by_right = _starts(left, rights, class_K, clusters, planes, map_DR)
        for right in rights:
            sides, start_D = (left_PD, members_K[right]), start_by_right.get(right)
            if distances == "rough":
                measured[left, right] = rough_distance(*sides, start_D=start_D)
            else:
                measured[left, right] = hull_distance(*sides, tolerance=tolerance, start_D=start_D)
    return measured


def _starts(
    left: int,
    rights: list[int],
    class_K: list[int],
    clusters: _Clusters,
    planes: LabelPlanes,
    map_DR: np.ndarray,
) -> dict[int, np.ndarray]:
    """Known separating directions (D) to the other clusters, in one product: the map exceeds the CPU
    cache."""
    normal_by_right = {}
    for right in rights:
        normal_R = planes.normal_by_pair.get((class_K[left], class_K[right]))
        normal_R = clusters.normal_by_pair.get((left, right), normal_R)
        if normal_R is not None:
            normal_by_right[right] = normal_R
    if not normal_by_right:
        return {}
    starts = np.array(list(normal_by_right.values())) @ map_DR.T
    return dict(zip(normal_by_right, starts, strict=True))


def _distance_matrices(
    pairs: dict[tuple[int, int], HullDistance], centroid_KD: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    upper_KK = cdist(centroid_KD, centroid_KD)
    lower_KK = np.zeros_like(upper_KK)
    for (left, right), distance in pairs.items():
        lower_KK[left, right] = lower_KK[right, left] = distance.lower
        upper_KK[left, right] = upper_KK[right, left] = distance.upper
    return lower_KK, upper_KK


def _planes(pairs: dict[tuple[int, int], HullDistance], class_of_cluster_K: np.ndarray, width: int) -> Planes:
    different = [pair for pair in pairs if class_of_cluster_K[pair[0]] != class_of_cluster_K[pair[1]]]
    return Planes(
        np.array(different, dtype=np.intp).reshape(-1, 2),
        np.array([pairs[pair].normal_D for pair in different]).reshape(-1, width),
        np.array([pairs[pair].offset for pair in different]),
        np.array([pairs[pair].lower for pair in different]),
    )
