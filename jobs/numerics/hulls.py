"""The distance of two convex hulls as a certified interval.

Axes: P left points, Q right points, M all of them, D coordinates; W points in the working set, A with an open
hinge.
"""

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from jobs.numerics.line_search import minimise_along

_FIRST_POINTS = 24
"""Points of each side that open the working set: those that lie nearest along the first direction."""

_ADDED_POINTS = 32
"""Most points of each side that join the working set at once."""

_ROUNDS = 60
"""Most growths of the working set and sharpenings of the multipliers, together."""

_NEWTON_STEPS = 50
_MEETING = 1e-10
"""Combinations nearer than this part of the radius count as the same point: no gap is sought any more."""

_SOFTNESS = 1e-7
"""Part of the mean squared norm that is the first penalty of a multiplier's change. It costs no exactness, as
the multipliers are moved on until the interval closes; smaller values moved them in fewer rounds, and below
1e-10 the systems became singular."""


@dataclass(frozen=True)
class HullDistance:
    """The distance lies in [lower, upper]; each end has its proof."""

    lower: float
    """The gap between both sets along `normal_D`; 0 where no direction with a gap was found."""

    upper: float
    """The distance of the two convex combinations."""

    normal_D: np.ndarray
    """Of length 1, from right to left; 0 where there is no gap."""

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
    """How far the convex hulls of two sets are apart, closed to `tolerance` of the upper end where possible.

    It is the margin of the support vector machine without slack, twice its half. The machine is solved on a
    working set by augmented Lagrangians (Rockafellar 1976) whose parts are minimised by finite Newton steps;
    both ends are measured on all points. The distance of sets that meet, or nearly, is [0, something small]:
    an interval that did not close is returned as it stands.
    """
    search = _Search(np.asarray(left_PD, np.float64), np.asarray(right_QD, np.float64), tolerance)
    return search.run(start_D)


class _Search:
    def __init__(self, left_PD: np.ndarray, right_QD: np.ndarray, tolerance: float):
        self.num_left = len(left_PD)
        self.centre_D = (left_PD.mean(axis=0) + right_QD.mean(axis=0)) / 2
        self.rows_MD = np.concatenate([left_PD, right_QD]) - self.centre_D
        self.sign_M = np.where(np.arange(len(self.rows_MD)) < self.num_left, 1.0, -1.0)
        self.tolerance = tolerance
        self.radius = float(np.sqrt(np.einsum("md,md->m", self.rows_MD, self.rows_MD).max()))
        self.lower, self.normal_D, self.offset = 0.0, np.zeros(left_PD.shape[1]), 0.0
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
            other_M = self._offer_normal(start_D)
            height_M = other_M if self.lower > lower else height_M
        problem = _Problem(self.rows_MD, self.sign_M, self.radius)
        problem.add(_nearest(height_M, self.num_left, _FIRST_POINTS))
        for _ in range(_ROUNDS):
            if self._is_closed() or not problem.solve():
                break
            height_M = self._offer(problem)
            problem.add(self._violators(problem, height_M))
        return self._result()

    def _offer(self, problem: "_Problem") -> np.ndarray:
        weights_M = np.zeros(len(self.sign_M))
        weights_M[problem.points_W] = problem.multipliers_W
        self._offer_weights(weights_M)
        return self._offer_normal((weights_M * self.sign_M) @ self.rows_MD)

    def _offer_weights(self, weights_M: np.ndarray) -> None:
        left, right = weights_M[: self.num_left].sum(), weights_M[self.num_left :].sum()
        if left <= 0 or right <= 0:
            return
        weights_M = np.where(self.sign_M > 0, weights_M / left, weights_M / right)
        upper = float(np.linalg.norm((weights_M * self.sign_M) @ self.rows_MD))
        if upper < self.upper:
            self.upper, self.weights_M = upper, weights_M

    def _offer_normal(self, direction_D: np.ndarray) -> np.ndarray:
        """The heights of all points along the direction; its gap is kept if it is the widest."""
        length = np.linalg.norm(direction_D)
        if not length:
            return np.zeros(len(self.sign_M))
        normal_D = direction_D / length
        height_M = self.rows_MD @ normal_D
        low, high = height_M[: self.num_left].min(), height_M[self.num_left :].max()
        if low - high > self.lower:
            self.lower, self.normal_D, self.offset = float(low - high), normal_D, float(low + high) / 2
        return height_M

    def _is_closed(self) -> bool:
        if self.upper <= _MEETING * self.radius:
            return True
        return self.lower > 0 and self.upper - self.lower <= self.tolerance * self.upper

    def _violators(self, problem: "_Problem", height_M: np.ndarray) -> np.ndarray:
        """Points outside the working set that lie nearer than its solution says, the nearest first."""
        margin_M = self.sign_M * (height_M * problem.length + problem.threshold)
        margin_M[problem.points_W] = np.inf
        violates_M = margin_M < 1 - 1e-9
        return _nearest(
            np.where(violates_M, height_M, self.sign_M * np.inf), self.num_left, _ADDED_POINTS, violates_M
        )

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


class _Problem:
    """The support vector machine without slack on the points of the working set."""

    def __init__(self, rows_MD: np.ndarray, sign_M: np.ndarray, radius: float):
        self.rows_MD, self.sign_M = rows_MD, sign_M
        self.softness = _SOFTNESS * radius**2
        self.points_W = np.zeros(0, dtype=np.intp)
        self.signed_WD = np.zeros((0, rows_MD.shape[1]))
        self.gram_WW = np.zeros((0, 0))
        self.multipliers_W = np.zeros(0)
        self.threshold = 0.0

    @property
    def length(self) -> float:
        """Of the normal: 2 / length is the gap of the working set."""
        return float(np.linalg.norm(self.multipliers_W @ self.signed_WD))

    def add(self, points_N: np.ndarray) -> None:
        if not len(points_N):
            return
        signed_ND = self.rows_MD[points_N] * self.sign_M[points_N, None]
        cross_WN = self.signed_WD @ signed_ND.T
        self.gram_WW = np.block([[self.gram_WW, cross_WN], [cross_WN.T, signed_ND @ signed_ND.T]])
        self.signed_WD = np.concatenate([self.signed_WD, signed_ND])
        self.points_W = np.concatenate([self.points_W, points_N])
        self.multipliers_W = np.concatenate([self.multipliers_W, np.zeros(len(points_N))])

    def solve(self) -> bool:
        """Move the multipliers to the minimum of the augmented Lagrangian around them; False if it failed."""
        sign_W = self.sign_M[self.points_W]
        target_W = 1 + self.softness * self.multipliers_W
        weights_W, threshold = self.multipliers_W, self.threshold
        product_W = self._product(weights_W)
        for _ in range(_NEWTON_STEPS):
            deficit_W = target_W - product_W - threshold * sign_W
            is_open_W = deficit_W > 0
            if not (is_open_W & (sign_W > 0)).any() or not (is_open_W & (sign_W < 0)).any():
                is_open_W = self._with_nearest(is_open_W, deficit_W, sign_W)
            solution = self._on(is_open_W, target_W, sign_W)
            if solution is None:
                return False
            step_W, threshold_step = solution[0] - weights_W, solution[1] - threshold
            product_step_W = self._product(step_W)
            new_deficit_W = deficit_W - product_step_W - threshold_step * sign_W
            if ((new_deficit_W > 0) == is_open_W).all():
                self.multipliers_W, self.threshold = np.maximum(solution[0], 0), solution[1]
                return True
            length = minimise_along(
                deficit_W,
                product_step_W + threshold_step * sign_W,
                slope=self.softness * float(weights_W @ product_step_W),
                curvature=self.softness * float(step_W @ product_step_W),
            )
            length = min(length, 1.0) if length > 0 else 1.0
            weights_W = weights_W + length * step_W
            threshold += length * threshold_step
            product_W = product_W + length * product_step_W
        self.multipliers_W, self.threshold = np.maximum(deficit_W, 0) / self.softness, threshold
        return True

    def _product(self, weights_W: np.ndarray) -> np.ndarray:
        return self.gram_WW @ weights_W

    def _with_nearest(self, is_open_W, deficit_W, sign_W):
        """Both sides need a point, or the threshold is free."""
        is_open_W = is_open_W.copy()
        for sign in (1, -1):
            on_side_W = sign_W == sign
            if not (is_open_W & on_side_W).any():
                is_open_W[np.where(on_side_W, deficit_W, -np.inf).argmax()] = True
        return is_open_W

    def _on(self, is_open_W, target_W, sign_W) -> tuple[np.ndarray, float] | None:
        """The minimum if exactly these hinges were open."""
        open_A = np.flatnonzero(is_open_W)
        system_AA = self.gram_WW[np.ix_(open_A, open_A)]
        system_AA[np.diag_indices_from(system_AA)] += self.softness
        try:
            factor = linalg.cho_factor(system_AA, check_finite=False, overwrite_a=True)
        except linalg.LinAlgError:
            return None
        sign_A = sign_W[open_A]
        solved = linalg.cho_solve(factor, np.stack([target_W[open_A], sign_A], axis=1), check_finite=False)
        threshold = float(sign_A @ solved[:, 0] / (sign_A @ solved[:, 1]))
        weights_W = np.zeros(len(sign_W))
        weights_W[open_A] = solved[:, 0] - threshold * solved[:, 1]
        return weights_W, threshold
