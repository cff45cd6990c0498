"""The distance of two convex hulls as a certified interval.

Axes: P left points, Q right points, M all of them, D coordinates; W points in the working set, S those that
carry weight.
"""

from dataclasses import dataclass

import numpy as np

from layerscope.jobs.kernels.directprobe.interior_point import nearest_combinations
from layerscope.jobs.kernels.directprobe.nearest_faces import nearest_faces

_FIRST_POINTS = 48
"""Initial points of the working set per side: the nearest along the first direction. At most this many are
added per side at once, or half the size of the working set if that is more."""

_ROUNDS = 60
"""Maximum rounds of growing the working set; 2 to 6 were observed."""

_MEETING = 1e-10
"""Convex combinations closer than this share of the radius count as the same point, and the search ends."""

_LOOSE = 1e-2
"""Tolerance while the working set still grows much."""

_FEW = 0.25
"""The working set counts as nearly complete once it grows by at most this share of its size."""

_MAY_CARRY = 1e-3
"""A nearly complete working set keeps points with more than this share of the largest weight; a point that
was removed in error is added again."""

_INNER = 0.3
"""Share of the tolerance that is available to the working set's solution."""


@dataclass(frozen=True)
class HullDistance:
    """The distance lies in [lower, upper]; each bound has its proof."""

    lower: float
    """The gap between both sets along `normal_D`; 0 if no direction with a gap was found."""

    upper: float
    """The distance of the two convex combinations."""

    normal_D: np.ndarray
    """Unit vector from right to left; 0 if there is no gap."""

    offset: float
    """The middle of the gap along the normal."""

    left_weights_P: np.ndarray
    right_weights_Q: np.ndarray


def hull_distance(
    left_PD: np.ndarray,
    right_QD: np.ndarray,
    *,
    tolerance: float = 1e-6,
    start_D: np.ndarray | None = None,
) -> HullDistance:
    """Distance of the convex hulls of two sets, bounded within `tolerance` of the upper bound if possible.

    `start_D` is an initial direction, of either sign; one that separates the sets may save work.

    The distance is the margin of a hard-margin support vector machine. An interior-point method on a working
    set finds the nearest points. If rounding stops it before the interval is closed, `nearest_faces`
    continues on all points. Both bounds are measured on all points, so gaps down to about 1e-8 of the radius
    close to 1e-6 in any order of summation. An interval that does not close is returned as it is:
    intersecting hulls give [0, a small number].
    """
    search = _Search(np.asarray(left_PD, np.float64), np.asarray(right_QD, np.float64), tolerance)
    return search.run(start_D)


def rough_distance(
    left_PD: np.ndarray, right_QD: np.ndarray, *, start_D: np.ndarray | None = None
) -> HullDistance:
    """The interval from the gap along `start_D`, of either sign, to the distance of the means. If the
    direction does not separate the sets, the interval of the first direction that does."""
    if start_D is None or not start_D.any():
        return hull_distance(left_PD, right_QD, tolerance=1.0)
    normal_D = start_D / np.linalg.norm(start_D)
    left_P, right_Q = left_PD @ normal_D, right_QD @ normal_D
    if left_P[0] < right_Q[0]:
        normal_D, left_P, right_Q = -normal_D, -left_P, -right_Q
    low, high = float(left_P.min()), float(right_Q.max())
    if low <= high:
        return hull_distance(left_PD, right_QD, tolerance=1.0)
    means = left_PD.mean(axis=0) - right_QD.mean(axis=0)
    left_weights_P, right_weights_Q = (
        np.full(len(points), 1 / len(points)) for points in (left_PD, right_QD)
    )
    upper = float(np.linalg.norm(means))
    return HullDistance(low - high, upper, normal_D, (low + high) / 2, left_weights_P, right_weights_Q)


class _Search:
    def __init__(self, left_PD: np.ndarray, right_QD: np.ndarray, tolerance: float):
        self.num_left = len(left_PD)
        self.centre_D = (left_PD.mean(axis=0) + right_QD.mean(axis=0)) / 2
        self.rows_MD = np.concatenate([left_PD, right_QD])
        self.rows_MD -= self.centre_D
        self.sign_M = np.where(np.arange(len(self.rows_MD)) < self.num_left, 1.0, -1.0)
        self.tolerance = tolerance
        self.radius = float(np.sqrt(np.einsum("md,md->m", self.rows_MD, self.rows_MD).max()))
        self.lower, self.normal_D, self.offset = 0.0, np.zeros(left_PD.shape[1]), 0.0
        self.points_W = np.zeros(0, dtype=np.intp)
        self.weights_W = np.zeros(0)
        self.signed_WD = np.zeros((0, left_PD.shape[1]))
        self.gram_WW = np.zeros((0, 0))
        self.upper, self.weights_M = np.inf, np.zeros(len(self.rows_MD))

    def run(self, start_D: np.ndarray | None) -> HullDistance:
        mean_weights_M = np.where(self.sign_M > 0, 1 / self.num_left, 1 / (len(self.sign_M) - self.num_left))
        self._offer_weights(mean_weights_M)
        if self.upper == 0:
            return self._result()
        means_D = (mean_weights_M * self.sign_M) @ self.rows_MD
        height_M = self._offer_normal(means_D)
        if start_D is not None and start_D.any():
            lower = self.lower
            other_M = self._offer_normal(start_D if start_D @ means_D >= 0 else -start_D)
            height_M = other_M if self.lower > lower else height_M
        self._add(_nearest(height_M, self.num_left, _FIRST_POINTS))
        tolerance = max(_LOOSE, self.tolerance)
        for _ in range(_ROUNDS):
            if self._is_closed():
                break
            height_M = self._solve(tolerance)
            if tolerance <= self.tolerance and not self._is_closed_on_working_set(height_M):
                break
            added = self._violators(height_M)
            if not len(added) and tolerance <= self.tolerance:
                break
            if tolerance > self.tolerance and len(added) <= _FEW * len(self.points_W):
                tolerance = self.tolerance
                self._keep(self.weights_W > _MAY_CARRY * self.weights_W.max())
            self._add(added)
        if not self._is_closed():
            self._cross_over()
        return self._result()

    def _add(self, points_N: np.ndarray) -> None:
        """Add points to the working set."""
        signed_ND = self.rows_MD[points_N] * self.sign_M[points_N, None]
        cross_WN = self.signed_WD @ signed_ND.T
        self.gram_WW = np.block([[self.gram_WW, cross_WN], [cross_WN.T, signed_ND @ signed_ND.T]])
        self.signed_WD = np.concatenate([self.signed_WD, signed_ND])
        self.points_W = np.concatenate([self.points_W, points_N])

    def _keep(self, is_kept_W: np.ndarray) -> None:
        """Keep only these points in the working set."""
        self.points_W, self.signed_WD = self.points_W[is_kept_W], self.signed_WD[is_kept_W]
        self.gram_WW = self.gram_WW[np.ix_(is_kept_W, is_kept_W)]

    def _solve(self, tolerance: float) -> np.ndarray:
        """Find the nearest points of the working set's hulls, update both bounds, and return the heights of
        all points along the line through them."""
        weights_W = nearest_combinations(
            self.signed_WD,
            self.gram_WW,
            self.sign_M[self.points_W] > 0,
            tolerance=_INNER * tolerance,
            smallest=_MEETING * self.radius,
        )
        self.weights_W = weights_W
        self._offer_weights(self._on_all(weights_W))
        return self._offer_normal(weights_W @ self.signed_WD)

    def _is_closed_on_working_set(self, height_M: np.ndarray) -> bool:
        """Whether the last solution solves the working set; in narrow gaps rounding stops the solver
        early."""
        height_W, is_left_W = height_M[self.points_W], self.sign_M[self.points_W] > 0
        gap = height_W[is_left_W].min() - height_W[~is_left_W].max()
        distance = np.linalg.norm(self.weights_W @ self.signed_WD)
        return bool(distance - gap <= self.tolerance * distance)

    def _cross_over(self) -> None:
        """Update both bounds with the nearest faces, starting from the best weights so far."""
        faces = nearest_faces(
            self.rows_MD * self.sign_M[:, None],
            self.sign_M > 0,
            self.weights_M,
            tolerance=_INNER * self.tolerance,
        )
        self._offer_weights(faces.weights_W)
        self._offer_normal(faces.normal_D)

    def _on_all(self, weights_W: np.ndarray) -> np.ndarray:
        """Weights of the working set as weights of all points."""
        weights_M = np.zeros(len(self.sign_M))
        weights_M[self.points_W] = weights_W
        return weights_M

    def _offer_weights(self, weights_M: np.ndarray) -> None:
        left, right = weights_M[: self.num_left].sum(), weights_M[self.num_left :].sum()
        if left <= 0 or right <= 0:
            return
        weights_M = np.where(self.sign_M > 0, weights_M / left, weights_M / right)
        upper = float(np.linalg.norm((weights_M * self.sign_M) @ self.rows_MD))
        if upper < self.upper:
            self.upper, self.weights_M = upper, weights_M

    def _offer_normal(self, direction_D: np.ndarray) -> np.ndarray:
        """The heights of all points along the direction; its gap is kept if it is the widest so far."""
        length = np.linalg.norm(direction_D)
        if not length:
            return np.zeros(len(self.sign_M))
        normal_D = direction_D / length
        height_M: np.ndarray = self.rows_MD @ normal_D
        low, high = height_M[: self.num_left].min(), height_M[self.num_left :].max()
        if low - high > self.lower:
            self.lower, self.normal_D, self.offset = float(low - high), normal_D, float(low + high) / 2
        return height_M

    def _is_closed(self) -> bool:
        if self.upper <= _MEETING * self.radius:
            return True
        return self.lower > 0 and self.upper - self.lower <= self.tolerance * self.upper

    def _violators(self, height_M: np.ndarray) -> np.ndarray:
        """Points that are nearer than every point of the working set, the nearest first."""
        is_left_M = self.sign_M > 0
        low = height_M[self.points_W][is_left_M[self.points_W]].min()
        high = height_M[self.points_W][~is_left_M[self.points_W]].max()
        violates_M = np.where(is_left_M, height_M < low, height_M > high)
        return _nearest(height_M, self.num_left, max(_FIRST_POINTS, len(self.points_W) // 2), violates_M)

    def _result(self) -> HullDistance:
        offset = self.offset + float(self.normal_D @ self.centre_D)
        return HullDistance(
            min(self.lower, self.upper),
            self.upper,
            self.normal_D,
            offset,
            self.weights_M[: self.num_left],
            self.weights_M[self.num_left :],
        )


def _nearest(
    height_M: np.ndarray, num_left: int, count: int, eligible_M: np.ndarray | None = None
) -> np.ndarray:
    """The lowest points of the left side and the highest of the right one."""
    chosen = []
    for low, high, sign in ((0, num_left, 1), (num_left, len(height_M), -1)):
        order = np.argsort(sign * height_M[low:high], kind="stable")[:count] + low
        chosen.append(order if eligible_M is None else order[eligible_M[order]])
    return np.concatenate(chosen)
