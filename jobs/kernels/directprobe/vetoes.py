"""Clusters grown inside each label until a merge would make them intersect a cluster of another label.

Axes: N points, D original coordinates, R whitened ones, C labels, K clusters, V other clusters.
"""

from dataclasses import dataclass

import numpy as np

from layerscope.jobs.kernels.directprobe.directions import NONE, Directions
from layerscope.jobs.kernels.directprobe.linkage import FreeLinkage, VetoedLinkage, free_linkage
from layerscope.jobs.kernels.directprobe.separability import RESOLUTION, Meeting, Separation, separate

_CLOSE_ENOUGH = 24
"""The bisection for the first veto stops within this many merges; the rest are done one by one."""

CENTROIDS_TRIED = 1024
"""Number of clusters, the largest, whose centroid directions are tried first; each is kept for all
clusters."""

_KEPT_DIRECTIONS = 256
"""Number of solved directions that one state of the search passes to the next."""


@dataclass(frozen=True)
class Veto:
    """Why two clusters of one label must not merge: their joint hull intersects that of another cluster."""

    left_rows: np.ndarray
    left_weights: np.ndarray
    right_rows: np.ndarray
    """All in one cluster of another label, the culprit."""

    right_weights: np.ndarray


@dataclass(frozen=True)
class VetoedClusters:
    cluster_N: np.ndarray
    """Numbered by the lowest row."""

    veto_KK: np.ndarray
    """Veto number of each pair of clusters of one label; -1 elsewhere."""

    vetoes: tuple[Veto, ...]
    normal_by_pair: dict[tuple[int, int], np.ndarray]
    """A separating direction (R), of either sign, for pairs that have one."""


def vetoed_clusters(
    points_ND: np.ndarray, whitened_NR: np.ndarray, label_N: np.ndarray, conflicts_CC: np.ndarray
) -> VetoedClusters:
    """Greedy centroid linkage; a merge is vetoed if its hull would intersect that of another label's cluster.

    Labels without a conflict are known to be separable as a whole. No point may have two labels.
    """
    free = free_linkage(points_ND, label_N)
    clean, directions = _last_clean_state(free, whitened_NR, label_N, conflicts_CC)
    state = _State(whitened_NR, label_N, conflicts_CC, free.clusters_after(clean), directions)
    sizes_K = np.bincount(state.cluster_N)
    centroids_KD = np.zeros((len(sizes_K), points_ND.shape[1]))
    np.add.at(centroids_KD, state.cluster_N, points_ND)
    linkage = VetoedLinkage(centroids_KD / sizes_K[:, None], sizes_K, state.label_K)
    vetoes: list[Veto] = []
    while pair := linkage.next_pair():
        veto = state.veto_against(*pair)
        if veto is None:
            linkage.merge(*pair)
            state.merge(*pair)
        else:
            linkage.veto(*pair, len(vetoes))
            vetoes.append(veto)
    active = np.flatnonzero(linkage.is_active_K)
    return VetoedClusters(
        np.unique(state.cluster_N, return_inverse=True)[1],
        linkage.vetoes_between(active),
        tuple(vetoes),
        state.normals_between(active),
    )


def _last_clean_state(
    free: FreeLinkage, whitened_NR: np.ndarray, label_N: np.ndarray, conflicts_CC: np.ndarray
) -> tuple[int, np.ndarray]:
    """A number of free merges, near the largest, after which no clusters intersect; and reusable directions.

    Clusters that intersect still do after they grow, so the first intersection is found from the end in
    doubling steps, and then by bisection.
    """
    directions = np.zeros((0, whitened_NR.shape[1]))

    def is_clean(num_merges: int) -> bool:
        nonlocal directions
        state = _State(whitened_NR, label_N, conflicts_CC, free.clusters_after(num_merges), directions)
        answer = state.is_clean()
        directions = state.solved()
        return answer

    dirty, step = len(free.merges_T2), 1
    clean = dirty - 1
    while clean > 0 and not is_clean(clean):
        dirty, step = clean, 2 * step
        clean = max(0, dirty - step)
    while dirty - clean > _CLOSE_ENOUGH:
        middle = (clean + dirty) // 2
        clean, dirty = (middle, dirty) if is_clean(middle) else (clean, middle)
    return clean, directions


class _State:
    """Clusters of whitened points, and the pairs known to be separated."""

    def __init__(
        self,
        whitened_NR: np.ndarray,
        label_N: np.ndarray,
        conflicts_CC: np.ndarray,
        cluster_N: np.ndarray,
        directions_QR: np.ndarray,
    ) -> None:
        self.points_NR = whitened_NR
        self.label_N = label_N
        self.cluster_N = cluster_N.copy()
        num_clusters = int(cluster_N.max()) + 1
        self.sizes_K = np.bincount(cluster_N)
        self.label_K = np.zeros(num_clusters, dtype=np.intp)
        self.label_K[cluster_N] = label_N
        self.conflicts_CC = conflicts_CC
        self.is_active_K = np.ones(num_clusters, dtype=bool)
        radius = float(np.sqrt(np.einsum("nr,nr->n", whitened_NR, whitened_NR).max()))
        self.resolution = RESOLUTION * radius
        # Half, so that a pair found separated once is separated again despite rounding.
        self.directions = Directions(whitened_NR, cluster_N, num_clusters, self.resolution / 2)
        self.suspect_C = np.full(len(conflicts_CC), -1)
        """For each label the cluster that vetoed last; it is tested first."""

        self._solved: list[np.ndarray] = list(directions_QR)
        if len(directions_QR):
            self.directions.add(directions_QR)
        self._try_centroids(num_clusters)

    def _try_centroids(self, num_clusters: int) -> None:
        """Try the direction from the mean to each cluster's centroid: it separates small clusters from
        others."""
        centroids_KR = np.zeros((num_clusters, self.points_NR.shape[1]))
        np.add.at(centroids_KR, self.cluster_N, self.points_NR)
        centroids_KR /= self.sizes_K[:, None]
        if not (np.linalg.norm(centroids_KR, axis=1) > 0).all():
            return
        largest_Q = np.argsort(-self.sizes_K, kind="stable")[:CENTROIDS_TRIED]
        own_Q = self.directions.add(centroids_KR[largest_Q])
        low_Q = self.directions.lows[own_Q, largest_Q]
        apart_QK = low_Q[:, None] - self.directions.highs[own_Q] > self.directions.resolution
        known_KK = self.directions.known_KK
        for own, cluster, apart_K in zip(own_Q, largest_Q, apart_QK, strict=True):
            known_KK[cluster, apart_K] = known_KK[apart_K, cluster] = own

    def is_clean(self) -> bool:
        """Whether no clusters of different labels intersect. Two single points never do: none are equal."""
        clusters = np.flatnonzero(self.sizes_K > 1)
        largest_first = clusters[np.argsort(-self.sizes_K[clusters], kind="stable")]
        return all(self.veto_against(cluster, cluster) is None for cluster in largest_first.tolist())

    def veto_against(self, left: int, right: int) -> Veto | None:
        """The proof that left and right together meet another label's cluster, or None if they meet none."""
        label = self.label_K[left]
        others_V = np.flatnonzero(self.is_active_K & self.conflicts_CC[label][self.label_K])
        self.directions.forget_unused()
        direction_V = self.directions.between(left, right, others_V)
        together = np.flatnonzero((self.cluster_N == left) | (self.cluster_N == right))
        suspect = self.suspect_C[label]
        while (direction_V == NONE).any():
            rest_V = others_V[direction_V == NONE]
            targets = np.array([suspect]) if suspect in rest_V else rest_V
            outcome, rows = self._ask(together, left, targets)
            if isinstance(outcome, Meeting):
                heaviest, is_alone = self._heaviest(outcome, rows)
                if is_alone:
                    self.suspect_C[label] = heaviest
                    return self._veto(outcome, together, rows, heaviest)
                suspect = heaviest
            direction_V[direction_V == NONE] = self._along(outcome.normal_R, left, right, rest_V)
        self.directions.remember(left, others_V, direction_V)
        return None

    def merge(self, kept: int, gone: int) -> None:
        self.cluster_N[self.cluster_N == gone] = kept
        self.sizes_K[kept] += self.sizes_K[gone]
        self.is_active_K[gone] = False
        self.suspect_C[self.suspect_C == gone] = kept
        self.directions.merge(kept, gone)

    def normals_between(self, clusters: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
        """The known directions, by the places of two clusters in the list."""
        known = np.triu(self.directions.known_KK[np.ix_(clusters, clusters)] + 1)
        return {
            (left, right): self.directions.normal(known[left, right] - 1)
            for left, right in np.argwhere(known).tolist()
        }

    def solved(self) -> np.ndarray:
        """The directions that had to be solved for; they help with other states of the same points."""
        return np.array(self._solved[-_KEPT_DIRECTIONS:]).reshape(-1, self.points_NR.shape[1])

    def _ask(
        self, together: np.ndarray, left: int, targets: np.ndarray
    ) -> tuple[Separation | Meeting, np.ndarray]:
        """Test these points against all target clusters together; returns the outcome and the targets'
        rows."""
        is_target_K = np.zeros(len(self.label_K), dtype=bool)
        is_target_K[targets] = True
        rows = np.flatnonzero(is_target_K[self.cluster_N])
        known = self.directions.known_KK[left, targets[0]] if len(targets) == 1 else NONE
        start_R = None if known == NONE else self.directions.normal(known)
        left_PR, right_QR = self.points_NR[together], self.points_NR[rows]
        return separate(left_PR, right_QR, resolution=self.resolution, start_R=start_R), rows

    def _heaviest(self, meeting: Meeting, rows: np.ndarray) -> tuple[int, bool]:
        """The cluster with the most weight on the right side, and whether it has all of it."""
        weight_K = np.bincount(self.cluster_N[rows], meeting.right_weights_Q)
        return int(weight_K.argmax()), np.count_nonzero(weight_K) == 1

    def _along(self, normal_R: np.ndarray, left: int, right: int, others_V: np.ndarray) -> np.ndarray:
        """For each other cluster the new direction if it separates, or NONE; one that separates none is
        dropped."""
        direction_V = np.full(len(others_V), NONE, dtype=np.int32)
        if normal_R.any():
            (added,) = self.directions.add(normal_R[None])
            apart_V = self.directions.apart(np.full(len(others_V), added), left, right, others_V)
            direction_V[apart_V] = added
            if apart_V.any():
                self._solved.append(normal_R)
            else:
                self.directions.drop_last()
        return direction_V

    def _veto(self, meeting: Meeting, together: np.ndarray, rows: np.ndarray, culprit: int) -> Veto:
        right_weights = np.where(self.cluster_N[rows] == culprit, meeting.right_weights_Q, 0)
        left, right = meeting.left_weights_P > 0, right_weights > 0
        return Veto(together[left], meeting.left_weights_P[left], rows[right], right_weights[right])
