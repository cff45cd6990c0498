"""Greedy centroid linkage inside each label, free or with vetoes.

Axes: N points, D coordinates, K clusters, T merges.
"""

from dataclasses import dataclass

import numpy as np
from scipy.cluster import hierarchy
from scipy.spatial.distance import cdist, pdist


@dataclass(frozen=True)
class FreeLinkage:
    """All merges without any veto, in the order in which they happen."""

    merges_T2: np.ndarray
    """The two rows that stand for the clusters that merge (the lowest row of each)."""

    num_points: int

    def clusters_after(self, num_merges: int) -> np.ndarray:
        """The cluster of each point, numbered by the lowest row."""
        parent_N = np.arange(self.num_points)
        for left, right in self.merges_T2[:num_merges].tolist():
            parent_N[max(left, right)] = min(left, right)
        # A parent has a lower number, so two halvings a round reach the lowest row in a few rounds.
        while (parent_N[parent_N] != parent_N).any():
            parent_N = parent_N[parent_N]
        return np.unique(parent_N, return_inverse=True)[1]


def free_linkage(points_ND: np.ndarray, label_N: np.ndarray) -> FreeLinkage:
    """The two nearest centroids of one label merge, over and over, until every label is one cluster.

    Of equal distances the lower label comes first, and inside a label scipy's order decides.
    """
    heights, merges = [], []
    for label in np.unique(label_N):
        rows = np.flatnonzero(label_N == label)
        if len(rows) > 1:
            # Distances, not points: given points, scipy warns where they look like a matrix of distances.
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
    """Always the label whose next merge is the nearest. A later merge may be nearer than an earlier one of
    its label (centroid linkage inverts), so it waits with it: its place is the running maximum."""
    if not merges:
        return np.zeros((0, 2), dtype=np.intp)
    places = np.concatenate([np.maximum.accumulate(height) for height in heights])
    label = np.repeat(np.arange(len(heights)), [len(height) for height in heights])
    return np.concatenate(merges)[np.lexsort((label, places))]


class VetoedLinkage:
    """Greedy centroid linkage from given clusters on, one pair at a time, which the caller merges or vetoes.

    A vetoed pair stays vetoed, and so does everything that contains it. Of equal distances the pair with the
    lowest numbers comes first.
    """

    def __init__(self, centroids_KD: np.ndarray, sizes_K: np.ndarray, label_K: np.ndarray):
        self.sizes_K = sizes_K.astype(np.float64)
        self.veto_KK = np.full((len(label_K), len(label_K)), -1, dtype=np.int32)
        """The number of the veto that holds a pair apart, or -1."""
        self.is_active_K = np.ones(len(label_K), dtype=bool)
        self._square_KK = np.full((len(label_K), len(label_K)), np.inf)
        for label in np.unique(label_K):
            members = np.flatnonzero(label_K == label)
            self._square_KK[np.ix_(members, members)] = _squared_distances(centroids_KD[members])
        np.fill_diagonal(self._square_KK, np.inf)
        self._nearest_K = self._square_KK.argmin(axis=1)
        self._nearest_square_K = self._square_KK.min(axis=1)

    def next_pair(self) -> tuple[int, int] | None:
        """The nearest pair that nothing holds apart, lower number first; None at the end."""
        left = int(self._nearest_square_K.argmin())
        if np.isinf(self._nearest_square_K[left]):
            return None
        right = int(self._nearest_K[left])
        return min(left, right), max(left, right)

    def veto(self, left: int, right: int, veto: int) -> None:
        self.veto_KK[left, right] = self.veto_KK[right, left] = veto
        self._square_KK[left, right] = self._square_KK[right, left] = np.inf
        self._look_again(np.array([left, right]))

    def merge(self, kept: int, gone: int) -> None:
        """The cluster `gone` becomes part of `kept`. Distances by Lance and Williams; infinity, which is what
        a veto is, stays infinity in them."""
        size, size_gone = self.sizes_K[kept], self.sizes_K[gone]
        total = size + size_gone
        between = self._square_KK[kept, gone]
        square_K = (size * self._square_KK[kept] + size_gone * self._square_KK[gone]) / total
        square_K = np.maximum(square_K - size * size_gone * between / total**2, 0)
        square_K[kept] = np.inf
        veto_K = np.where(self.veto_KK[kept] >= 0, self.veto_KK[kept], self.veto_KK[gone])
        self.veto_KK[kept] = self.veto_KK[:, kept] = veto_K
        self.sizes_K[kept] = total
        self.is_active_K[gone] = False
        self._square_KK[gone] = self._square_KK[:, gone] = np.inf
        square_K[gone] = np.inf
        self._square_KK[kept] = self._square_KK[:, kept] = square_K
        self._nearest_square_K[gone] = np.inf
        # A vetoed pair is infinitely far and was nearest to nobody.
        stale_K = (self._nearest_K == kept) | (self._nearest_K == gone)
        stale_K[kept] = True
        self._look_again(np.flatnonzero(stale_K & self.is_active_K))
        nearer_K = square_K < self._nearest_square_K
        same_K = (square_K == self._nearest_square_K) & (kept < self._nearest_K) & np.isfinite(square_K)
        self._nearest_K[nearer_K | same_K] = kept
        self._nearest_square_K[nearer_K] = square_K[nearer_K]

    def _look_again(self, clusters: np.ndarray) -> None:
        square = self._square_KK[clusters]
        self._nearest_K[clusters] = square.argmin(axis=1)
        self._nearest_square_K[clusters] = square.min(axis=1)


def _squared_distances(points_KD: np.ndarray) -> np.ndarray:
    """All squared Euclidean distances, from differences and not products: near ties stay as they are."""
    return cdist(points_KD, points_KD, "sqeuclidean")
