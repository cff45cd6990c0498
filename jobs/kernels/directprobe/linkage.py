"""Greedy centroid linkage inside each label, free or with vetoes.

Axes: N points, D coordinates, K clusters, T merges.
"""

from dataclasses import dataclass

import numpy as np
from scipy.cluster import hierarchy
from scipy.spatial.distance import cdist, pdist


@dataclass(frozen=True)
class FreeLinkage:
    """All merges without any veto, in order."""

    merges_T2: np.ndarray
    """The two merging clusters, each given by its lowest row."""

    num_points: int

    def clusters_after(self, num_merges: int) -> np.ndarray:
        """The cluster of each point (N). Clusters are numbered by their lowest row."""
        parent_N = np.arange(self.num_points)
        for left, right in self.merges_T2[:num_merges].tolist():
            parent_N[max(left, right)] = min(left, right)
        # Path doubling: each round doubles the number of steps towards the lowest row.
        while (parent_N[parent_N] != parent_N).any():
            parent_N = parent_N[parent_N]
        return np.unique(parent_N, return_inverse=True)[1]


def free_linkage(points_ND: np.ndarray, label_N: np.ndarray) -> FreeLinkage:
    """Repeatedly merge the two nearest centroids of one label until every label is one cluster.

    In a tie between labels the lower label comes first; inside a label scipy's order decides.
    """
    heights, merges = [], []
    for label in np.unique(label_N):
        rows = np.flatnonzero(label_N == label)
        if len(rows) > 1:
            # Distances, not points: scipy warns if points look like a distance matrix.
            tree = hierarchy.linkage(pdist(points_ND[rows]), method="centroid")
            heights.append(tree[:, 2])
            merges.append(_lowest_rows(tree, rows))
    return FreeLinkage(_interleaved(heights, merges), len(points_ND))


def _lowest_rows(tree_T4: np.ndarray, rows: np.ndarray) -> np.ndarray:
    lowest = np.concatenate([rows, np.zeros(len(tree_T4), dtype=rows.dtype)])
    for step, (left, right) in enumerate(tree_T4[:, :2].astype(np.intp).tolist()):
        lowest[len(rows) + step] = min(lowest[left], lowest[right])
    return lowest[tree_T4[:, :2].astype(np.intp)]


def _interleaved(heights: list[np.ndarray], merges: list[np.ndarray]) -> np.ndarray:
    """Merges of all labels, ordered by distance. Centroid linkage has inversions (a later merge of a label
    can be nearer than an earlier one), so merges are ordered by the running maximum of the distance."""
    if not merges:
        return np.zeros((0, 2), dtype=np.intp)
    places = np.concatenate([np.maximum.accumulate(height) for height in heights])
    label = np.repeat(np.arange(len(heights)), [len(height) for height in heights])
    return np.concatenate(merges)[np.lexsort((label, places))]


class VetoedLinkage:
    """Greedy centroid linkage of given clusters, one pair at a time, which the caller merges or vetoes.

    A vetoed pair stays vetoed, and so does every pair of clusters that contain it. In a tie the pair with the
    lowest numbers comes first. Only pairs of the same label are kept in memory.
    """

    def __init__(self, centroids_KD: np.ndarray, sizes_K: np.ndarray, label_K: np.ndarray):
        self.is_active_K = np.ones(len(label_K), dtype=bool)
        labels, self._label_K = np.unique(label_K, return_inverse=True)
        self._members = [np.flatnonzero(self._label_K == label) for label in range(len(labels))]
        self._linkages = [_LabelLinkage(centroids_KD[of], sizes_K[of]) for of in self._members]
        self._place_K = np.zeros(len(label_K), dtype=np.intp)
        for members in self._members:
            self._place_K[members] = np.arange(len(members))

    def next_pair(self) -> tuple[int, int] | None:
        """The nearest pair without a veto, lower number first; None if there is none."""
        pairs = []
        for members, linkage in zip(self._members, self._linkages, strict=True):
            if (nearest := linkage.next_pair()) is not None:
                square, left, right = nearest
                pairs.append((square, int(members[left]), int(members[right])))
        return min(pairs)[1:] if pairs else None

    def veto(self, left: int, right: int, veto: int) -> None:
        """Veto the merge of two clusters of one label."""
        self._linkages[self._label_K[left]].veto(self._place_K[left], self._place_K[right], veto)

    def merge(self, kept: int, gone: int) -> None:
        """Merge cluster `gone` into `kept`, of the same label."""
        self.is_active_K[gone] = False
        self._linkages[self._label_K[kept]].merge(self._place_K[kept], self._place_K[gone])

    def vetoes_between(self, clusters_Q: np.ndarray) -> np.ndarray:
        """The veto number of each pair of the given clusters, or -1: int32 (Q, Q)."""
        veto_QQ = np.full((len(clusters_Q), len(clusters_Q)), -1, dtype=np.int32)
        for label, linkage in enumerate(self._linkages):
            own = np.flatnonzero(self._label_K[clusters_Q] == label)
            places = self._place_K[clusters_Q[own]]
            veto_QQ[np.ix_(own, own)] = linkage.veto_KK[np.ix_(places, places)]
        return veto_QQ


class _LabelLinkage:
    """Vetoed linkage of the clusters of one label."""

    def __init__(self, centroids_KD: np.ndarray, sizes_K: np.ndarray):
        self.veto_KK = np.full((len(sizes_K), len(sizes_K)), -1, dtype=np.int32)
        self._sizes_K = sizes_K.astype(np.float64)
        self._is_active_K = np.ones(len(sizes_K), dtype=bool)
        self._square_KK = _squared_distances(centroids_KD)
        np.fill_diagonal(self._square_KK, np.inf)
        self._nearest_K = self._square_KK.argmin(axis=1)
        self._nearest_square_K = self._square_KK.min(axis=1)

    def next_pair(self) -> tuple[float, int, int] | None:
        """The nearest pair's squared distance and its two clusters, lower number first."""
        left = int(self._nearest_square_K.argmin())
        square = float(self._nearest_square_K[left])
        if np.isinf(square):
            return None
        right = int(self._nearest_K[left])
        return square, min(left, right), max(left, right)

    def veto(self, left: int, right: int, veto: int) -> None:
        self.veto_KK[left, right] = self.veto_KK[right, left] = veto
        self._square_KK[left, right] = self._square_KK[right, left] = np.inf
        self._look_again(np.array([left, right]))

    def merge(self, kept: int, gone: int) -> None:
        """Update distances by the Lance-Williams formula; a vetoed pair is infinitely far and stays so."""
        size, size_gone = self._sizes_K[kept], self._sizes_K[gone]
        total = size + size_gone
        between = self._square_KK[kept, gone]
        square_K = (size * self._square_KK[kept] + size_gone * self._square_KK[gone]) / total
        square_K = np.maximum(square_K - size * size_gone * between / total**2, 0)
        square_K[kept] = np.inf
        veto_K = np.where(self.veto_KK[kept] >= 0, self.veto_KK[kept], self.veto_KK[gone])
        self.veto_KK[kept] = self.veto_KK[:, kept] = veto_K
        self._sizes_K[kept] = total
        self._is_active_K[gone] = False
        self._square_KK[gone] = self._square_KK[:, gone] = np.inf
        square_K[gone] = np.inf
        self._square_KK[kept] = self._square_KK[:, kept] = square_K
        self._nearest_square_K[gone] = np.inf
        # Only rows whose nearest cluster changed: a vetoed pair is infinitely far, so it is never the
        # nearest.
        stale_K = (self._nearest_K == kept) | (self._nearest_K == gone)
        stale_K[kept] = True
        self._look_again(np.flatnonzero(stale_K & self._is_active_K))
        nearer_K = square_K < self._nearest_square_K
        same_K = (square_K == self._nearest_square_K) & (kept < self._nearest_K) & np.isfinite(square_K)
        self._nearest_K[nearer_K | same_K] = kept
        self._nearest_square_K[nearer_K] = square_K[nearer_K]

    def _look_again(self, clusters: np.ndarray) -> None:
        square = self._square_KK[clusters]
        self._nearest_K[clusters] = square.argmin(axis=1)
        self._nearest_square_K[clusters] = square.min(axis=1)


def _squared_distances(points_KD: np.ndarray) -> np.ndarray:
    """All squared Euclidean distances, from differences, not products: products would round near ties."""
    square_KK: np.ndarray = cdist(points_KD, points_KD, "sqeuclidean")
    return square_KK
