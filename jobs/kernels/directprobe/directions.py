"""A pool of directions that are known to separate clusters of points.

Axes: P directions, K clusters, N points, R coordinates; V some of the clusters.
"""

import numpy as np

from layerscope.jobs.kernels.arrays import Booleans

NONE = -1

ENOUGH = 1280
"""Number of directions that are kept whether or not a pair of clusters needs them."""


class Directions:
    """The lowest and highest point of every cluster along every direction, updated as clusters merge."""

    def __init__(self, points_NR: np.ndarray, cluster_N: np.ndarray, num_clusters: int, resolution: float):
        self.points_NR = points_NR
        self.resolution = resolution
        self._cluster_N = cluster_N.copy()
        self._sort()
        self._normals: list[np.ndarray] = []
        self._enough = ENOUGH
        self._low_PK = np.zeros((64, num_clusters))
        self._high_PK = np.zeros((64, num_clusters))
        self.known_KK = np.full((num_clusters, num_clusters), NONE, dtype=np.int32)
        """A direction that separates the two clusters, or NONE."""

    def __len__(self) -> int:
        return len(self._normals)

    @property
    def lows(self) -> np.ndarray:
        return self._low_PK[: len(self)]

    @property
    def highs(self) -> np.ndarray:
        return self._high_PK[: len(self)]

    def normal(self, direction: int) -> np.ndarray:
        return self._normals[direction]

    def add(self, normals_QR: np.ndarray) -> np.ndarray:
        """Add directions and return their numbers."""
        lengths_Q = np.linalg.norm(normals_QR, axis=1)
        normals_QR = normals_QR[lengths_Q > 0] / lengths_Q[lengths_Q > 0, None]
        first, last = len(self), len(self) + len(normals_QR)
        self._reserve(last)
        if self._is_stale:
            self._sort()
        height_NQ = (self.points_NR @ normals_QR.T)[self._order_N]
        self._low_PK[first:last, self._present] = np.minimum.reduceat(height_NQ, self._starts, axis=0).T
        self._high_PK[first:last, self._present] = np.maximum.reduceat(height_NQ, self._starts, axis=0).T
        self._normals.extend(normals_QR)
        return np.arange(first, last)

    def drop_last(self) -> None:
        """Forget the direction that was added last."""
        self._normals.pop()

    def forget_unused(self) -> None:
        """If there are many directions, keep those that a pair of clusters needs; their numbers change."""
        if len(self) <= self._enough:
            return
        if self._is_stale:
            self._sort()
        is_used_P = np.zeros(len(self) + 1, dtype=bool)  # The last is NONE.
        for cluster in self._present:
            is_used_P[self.known_KK[cluster, self._present]] = True
        used_Q = np.flatnonzero(is_used_P[:-1])
        number_P = np.full(len(is_used_P), NONE, dtype=np.int32)
        number_P[used_Q] = np.arange(len(used_Q))
        for known_K in self.known_KK:
            known_K[:] = number_P[known_K]
        self._low_PK, self._high_PK = self._low_PK[used_Q], self._high_PK[used_Q]
        self._normals = [self._normals[direction] for direction in used_Q]
        self._enough = max(ENOUGH, 2 * len(used_Q))

    def merge(self, kept: int, gone: int) -> None:
        """The cluster `gone` becomes part of `kept`."""
        low_PK, high_PK = self.lows, self.highs
        np.minimum(low_PK[:, kept], low_PK[:, gone], out=low_PK[:, kept])
        np.maximum(high_PK[:, kept], high_PK[:, gone], out=high_PK[:, kept])
        self._cluster_N[self._cluster_N == gone] = kept
        self._is_stale = True

    def between(self, left: int, right: int, others_V: np.ndarray) -> np.ndarray:
        """For each other cluster a direction that separates it from left and right together, or NONE."""
        found_V = np.full(len(others_V), NONE, dtype=np.int32)
        for parent in (left, right):
            known_V = self.known_KK[parent, others_V]
            apart_V = self.apart(known_V, left, right, others_V) & (known_V != NONE)
            found_V = np.where((found_V == NONE) & apart_V, known_V, found_V)
        rest = np.flatnonzero(found_V == NONE)
        if len(rest) and len(self):
            found_V[rest] = self._in_pool(left, right, others_V[rest])
        return found_V

    def remember(self, cluster: int, others_V: np.ndarray, direction_V: np.ndarray) -> None:
        self.known_KK[cluster, others_V] = direction_V
        self.known_KK[others_V, cluster] = direction_V

    def apart(self, direction_V: np.ndarray, left: int, right: int, others_V: np.ndarray) -> Booleans:
        low_V = np.minimum(self._low_PK[direction_V, left], self._low_PK[direction_V, right])
        high_V = np.maximum(self._high_PK[direction_V, left], self._high_PK[direction_V, right])
        above_V: Booleans = self._low_PK[direction_V, others_V] - high_V > self.resolution
        below_V: Booleans = low_V - self._high_PK[direction_V, others_V] > self.resolution
        return above_V | below_V

    def _in_pool(self, left: int, right: int, others_V: np.ndarray) -> np.ndarray:
        low_P1 = np.minimum(self.lows[:, left], self.lows[:, right])[:, None]
        high_P1 = np.maximum(self.highs[:, left], self.highs[:, right])[:, None]
        apart_PV = self.lows[:, others_V] - high_P1 > self.resolution
        apart_PV |= low_P1 - self.highs[:, others_V] > self.resolution
        return np.where(apart_PV.any(axis=0), apart_PV.argmax(axis=0), NONE).astype(np.int32)

    def _sort(self) -> None:
        """Sort points by cluster, so that a reduction over slices is a reduction over clusters."""
        self._order_N = np.argsort(self._cluster_N, kind="stable")
        self._present, self._starts = np.unique(self._cluster_N[self._order_N], return_index=True)
        self._is_stale = False

    def _reserve(self, count: int) -> None:
        capacity = len(self._low_PK)
        if count <= capacity:
            return
        more = max(count - capacity, capacity // 4)
        padding = np.zeros((more, self._low_PK.shape[1]))
        self._low_PK = np.concatenate([self._low_PK, padding])
        self._high_PK = np.concatenate([self._high_PK, padding])
