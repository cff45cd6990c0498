"""DirectProbe: how few linearly separable clusters describe labelled points, and how far they are apart.

Zhou and Srikumar 2021, "DirectProbe: Studying Representations without Classifiers" (arXiv 2104.05904). The
clusters are those of the paper; what is new is that nothing is clustered that a plane separates, and that
every answer comes with its proof.

Axes: N points, D coordinates, C labels, K clusters, V vetoes, S planes.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.spatial.distance import cdist

from jobs.numerics.hulls import HullDistance, hull_distance
from jobs.numerics.label_planes import LabelPlanes, label_planes
from jobs.numerics.vetoes import Veto, vetoed_clusters
from jobs.numerics.whitening import Whitened, whiten

Distances = Literal["rough", "different", "all"]
Duplicates = Literal["refuse", "drop", "majority"]

_DROPPED = -1


@dataclass(frozen=True)
class Planes:
    """A hyperplane for every pair of clusters of different labels: the pair's proof of separability."""

    pair_S2: np.ndarray
    """Clusters, the lower number first."""

    normal_SD: np.ndarray
    """Of length 1, from the second cluster to the first; 0 for a pair nearer than float64 can tell apart."""

    offset_S: np.ndarray
    """points @ normal is above it on the first cluster and below it on the second."""

    margin_S: np.ndarray
    """From the lowest point of the first to the highest of the second cluster along the normal."""


@dataclass(frozen=True)
class DirectProbe:
    """The clusters of labelled points, with proofs, and the distances between them."""

    cluster_N: np.ndarray
    """The cluster of each row, -1 for rows that were dropped. Clusters are numbered by label, then by row."""

    label_of_cluster_K: np.ndarray
    labels_C: np.ndarray
    """The labels that occur, ascending."""

    centroid_KD: np.ndarray
    planes: Planes
    veto_KK: np.ndarray
    """For each pair of clusters of one label its veto, the proof that they must not merge; -1 elsewhere."""

    vetoes: tuple[Veto, ...]
    distance_lower_KK: np.ndarray
    distance_upper_KK: np.ndarray
    """The distance of the hulls of two clusters lies between both. Where it was not asked for, the lower end
    is the pair's plane's margin (0 inside a label) and the upper end the distance of the centroids."""

    num_points_C: np.ndarray
    rank: int
    """The dimension of the space that the points span."""

    changed_rows: np.ndarray
    """Rows that were dropped or given another label, as another label has the same point."""

    @property
    def num_clusters(self) -> int:
        return len(self.label_of_cluster_K)

    @property
    def is_linear(self) -> bool:
        """Whether every label is one cluster: then a linear classifier makes no error on these points."""
        return self.num_clusters == len(self.labels_C)

    def label_distances(self, over: Literal["least", "mean"]) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends (C, C) of the least or mean distance over the cluster pairs of two labels.

        The mean is what the papers report. A label has distance 0 to itself.
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
            ends = [end / np.outer(sizes_C, sizes_C) for end in ends]
        for end in ends:
            np.fill_diagonal(end, 0)
        return ends[0], ends[1]

    def open_pairs(self, tolerance: float = 1e-6) -> np.ndarray:
        """Pairs of clusters of different labels whose distance interval is wider than this part of itself."""
        different_KK = self.label_of_cluster_K[:, None] < self.label_of_cluster_K[None]
        width_KK = self.distance_upper_KK - self.distance_lower_KK
        return np.argwhere(different_KK & (width_KK > tolerance * self.distance_upper_KK))

    @property
    def pair_capacity(self) -> np.ndarray:
        """Points of two labels over dimensions + 1. At 1 or less every labelling of points in general
        position is separable, and at less than 2 most are (Cover 1965): a linear result then says little."""
        points_CC = self.num_points_C[:, None] + self.num_points_C[None]
        capacity_CC = points_CC / (self.rank + 1)
        np.fill_diagonal(capacity_CC, np.nan)
        return capacity_CC

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the clusters must know."""
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
    """Cluster labelled points as DirectProbe does, and measure the clusters' distances.

    Inside each label the two clusters with the nearest centroids merge, the nearest pair of all labels first,
    unless the hull of the result would meet the hull of a cluster of another label; such a pair stays vetoed.
    Everything is float64. Equal centroid distances are decided by the order of labels and rows, so with ties
    (and only then) another order of the rows may give other clusters. Hulls nearer than 1e-9 of the cloud's
    radius (in whitened coordinates) count as meeting.

    Distances are closed to `tolerance` for cluster pairs of "different" labels, for "all" pairs, or left
    "rough". A point that occurs under two labels is refused, or all its rows are dropped, or all are given
    the label that most of them have (the lowest of several). The products over all points run on `device`.

    Raises ValueError for shapes that do not fit, values that are not finite, and duplicates.
    """
    points_ND, labels_N = _checked(points_ND, labels_N)
    kept_N, label_N, changed_rows = _without_contradictions(points_ND, labels_N, duplicates)
    points, label_N = points_ND[kept_N], label_N[kept_N]
    labels_C, class_N = np.unique(label_N, return_inverse=True)
    whitened = whiten(torch.from_numpy(points).to(device))
    planes = label_planes(whitened, class_N)
    clusters_N, veto_KK, vetoes = _clusters(points, whitened, class_N, planes)
    vetoes = tuple(_in_all_rows(veto, np.flatnonzero(kept_N)) for veto in vetoes)
    class_of_cluster_K = np.zeros(len(veto_KK), dtype=np.intp)
    class_of_cluster_K[clusters_N] = class_N
    centroid_KD = _centroids(points, clusters_N)
    pairs = _measured(points, clusters_N, class_of_cluster_K, whitened, planes, distances, tolerance)
    lower_KK, upper_KK = _distance_matrices(pairs, centroid_KD)
    cluster_of_row_N = np.full(len(points_ND), _DROPPED)
    cluster_of_row_N[kept_N] = clusters_N
    return DirectProbe(
        cluster_of_row_N,
        labels_C[class_of_cluster_K],
        labels_C,
        centroid_KD,
        _planes(pairs, class_of_cluster_K, points.shape[1]),
        veto_KK,
        vetoes,
        lower_KK,
        upper_KK,
        np.bincount(class_N),
        whitened.points_NR.shape[1],
        changed_rows,
    )


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
        raise ValueError(f"points must be finite; these rows are not: {_listed(np.flatnonzero(~finite_N))}.")
    return points_ND, labels_N


def _without_contradictions(
    points_ND: np.ndarray, labels_N: np.ndarray, duplicates: Duplicates
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which rows are kept, their labels, and the rows that were dropped or relabelled."""
    _, group_N = np.unique(points_ND, axis=0, return_inverse=True)
    labels_C, class_N = np.unique(labels_N, return_inverse=True)
    votes_GC = np.zeros((group_N.max() + 1, len(labels_C)), dtype=np.intp)
    np.add.at(votes_GC, (group_N, class_N), 1)
    is_contradicted_N = ((votes_GC > 0).sum(axis=1) > 1)[group_N]
    rows = np.flatnonzero(is_contradicted_N)
    if not len(rows):
        return np.ones(len(labels_N), dtype=bool), labels_N, rows
    match duplicates:
        case "drop":
            return ~is_contradicted_N, labels_N, rows
        case "majority":
            majority_N = labels_C[votes_GC.argmax(axis=1)[group_N]]
            return np.ones(len(labels_N), dtype=bool), majority_N, np.flatnonzero(majority_N != labels_N)
    first = np.flatnonzero(group_N == group_N[rows[0]])
    raise ValueError(
        f"{len(rows)} rows have the same point as a row of another label, for example rows "
        f"{_listed(first)} with labels {_listed(labels_N[first])}: drop them or give them one label "
        "(duplicates='drop' or 'majority')."
    )


def _listed(values: np.ndarray) -> str:
    return ", ".join(str(value) for value in values[:8].tolist()) + (", ..." if len(values) > 8 else "")


def _clusters(
    points_ND: np.ndarray, whitened: Whitened, class_N: np.ndarray, planes: LabelPlanes
) -> tuple[np.ndarray, np.ndarray, tuple[Veto, ...]]:
    """The cluster of each point, numbered by label and then by lowest row, with the vetoes between them."""
    in_conflict_N = planes.conflicts_CC.any(axis=1)[class_N]
    raw_N = len(class_N) + class_N
    rows = np.flatnonzero(in_conflict_N)
    veto_KK, vetoes = np.zeros((0, 0), dtype=np.int32), ()
    if len(rows):
        whitened_NR = whitened.points_NR.cpu().numpy()[rows]
        found = vetoed_clusters(points_ND[rows], whitened_NR, class_N[rows], planes.conflicts_CC)
        raw_N[rows] = found.cluster_N
        veto_KK, vetoes = found.veto_KK, tuple(_in_all_rows(veto, rows) for veto in found.vetoes)
    raw_K, first_K, index_N = np.unique(raw_N, return_index=True, return_inverse=True)
    order_K = np.lexsort((first_K, class_N[first_K]))
    all_veto_KK = np.full((len(raw_K), len(raw_K)), -1, dtype=np.int32)
    all_veto_KK[: len(veto_KK), : len(veto_KK)] = veto_KK
    return np.argsort(order_K)[index_N], all_veto_KK[np.ix_(order_K, order_K)], vetoes


def _in_all_rows(veto: Veto, rows: np.ndarray) -> Veto:
    return Veto(rows[veto.left_rows], veto.left_weights, rows[veto.right_rows], veto.right_weights)


def _centroids(points_ND: np.ndarray, cluster_N: np.ndarray) -> np.ndarray:
    order_N = np.argsort(cluster_N, kind="stable")
    counts_K = np.bincount(cluster_N)
    starts_K = np.concatenate([[0], np.cumsum(counts_K)[:-1]])
    return np.add.reduceat(points_ND[order_N], starts_K, axis=0) / counts_K[:, None]


def _measured(
    points_ND: np.ndarray,
    cluster_N: np.ndarray,
    class_of_cluster_K: np.ndarray,
    whitened: Whitened,
    planes: LabelPlanes,
    distances: Distances,
    tolerance: float,
) -> dict[tuple[int, int], HullDistance]:
    """The interval of every pair that needs one, lower number first."""
    members_K = [points_ND[cluster_N == cluster] for cluster in range(len(class_of_cluster_K))]
    map_DR = whitened.map_DR.cpu().numpy()
    measured = {}
    for left in range(len(members_K)):
        for right in range(left + 1, len(members_K)):
            pair = int(class_of_cluster_K[left]), int(class_of_cluster_K[right])
            if pair[0] == pair[1] and distances != "all":
                continue
            normal_R = planes.normal_by_pair.get(pair)
            measured[left, right] = hull_distance(
                members_K[left],
                members_K[right],
                tolerance=1.0 if distances == "rough" else tolerance,
                start_D=None if normal_R is None else map_DR @ normal_R,
            )
    return measured


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
