"""Linear separability of two point sets; either answer comes with its proof.

Axes: P left points, Q right points, M all of them, R coordinates; A hinges that are open.
"""

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from layerscope.jobs.kernels.arrays import Floats
from layerscope.jobs.kernels.directprobe.hulls import hull_distance
from layerscope.jobs.kernels.directprobe.line_search import minimise_along

RESOLUTION = 1e-9
"""Sets closer than this share of their radius count as touching: float64 cannot separate them reliably."""

_NEWTON_STEPS = 60
"""Maximum steps before the exact distance of the hulls is computed; 5 to 25 were observed."""

_RIDGE = 1e-12
"""Share of the mean diagonal that is added to the diagonal, so that degenerate points give a solvable
system."""


@dataclass(frozen=True)
class Separation:
    """The left set is strictly above the offset along the normal, the right one strictly below."""

    normal_R: np.ndarray
    """Unit vector."""

    offset: float
    margin: float
    """Along the normal, from the lowest left to the highest right point: a lower bound of the distance."""


@dataclass(frozen=True)
class Meeting:
    """Convex combinations of both sets that are the same point, up to the resolution."""

    left_weights_P: np.ndarray
    right_weights_Q: np.ndarray
    normal_R: np.ndarray
    """The last direction tried, of length 1 or 0; it may separate parts of the sets."""


def separate(
    left_PR: np.ndarray,
    right_QR: np.ndarray,
    *,
    resolution: float | None = None,
    start_R: np.ndarray | None = None,
) -> Separation | Meeting:
    """Strict linear separability of two point sets, with a certificate.

    Minimises the squared hinge loss |(1 - Z w)+|^2 without regularisation by finite Newton steps with an
    exact line search (Mangasarian 2002, "A finite Newton method for classification"). Every step tests
    whether some threshold along w separates the sets. At a minimum above zero the positive hinges, as
    weights, prove (Farkas) that the hulls intersect. Whitened coordinates make it faster but are not needed
    for correctness. Sets closer than the resolution (by default `RESOLUTION` of their radius) count as
    intersecting.
    """
    rows_MR = np.concatenate([left_PR, right_QR])
    centre_R = rows_MR.mean(axis=0)
    rows_MR = rows_MR - centre_R
    search = _Search(rows_MR, len(left_PR), resolution)
    found = search.run(start_R)
    if found is None:
        found = _decided_by_distance(rows_MR, len(left_PR), search.resolution)
    if isinstance(found, Separation):
        return Separation(found.normal_R, found.offset + float(found.normal_R @ centre_R), found.margin)
    return found


class _Search:
    def __init__(self, rows_MR: np.ndarray, num_left: int, resolution: float | None):
        self.rows_MR = rows_MR
        self.num_left = num_left
        self.sign_M = np.where(np.arange(len(rows_MR)) < num_left, 1.0, -1.0)
        self.radius = float(np.sqrt(np.einsum("mr,mr->m", rows_MR, rows_MR).max()))
        self.resolution = RESOLUTION * self.radius if resolution is None else resolution

    def run(self, start_R: np.ndarray | None) -> Separation | Meeting | None:
        """The proof of either answer, or None if the steps did not suffice."""
        if self.radius == 0:
            return self._meeting(np.ones(len(self.rows_MR)), np.zeros(self.rows_MR.shape[1]))
        # The constant column has the scale of the rows, which keeps the system well scaled.
        signed = (
            np.hstack([self.rows_MR, np.full((len(self.rows_MR), 1), self.radius)]) * self.sign_M[:, None]
        )
        weights, margin_M = self._start(signed, start_R)
        for _ in range(_NEWTON_STEPS):
            found = self._separation(weights[:-1]) or self._meeting(1 - margin_M, weights[:-1])
            if found:
                return found
            deficit_M = 1 - margin_M
            step = _newton_step(signed[deficit_M > 0], deficit_M[deficit_M > 0])
            change_M = signed @ step
            length = minimise_along(deficit_M, change_M)
            if not np.isfinite(length):
                length = 1.0
            weights = weights + length * step
            # Recomputed, not updated: an update would accumulate the rounding of many steps.
            margin_M = signed @ weights
        return None

    def _start(self, signed: np.ndarray, start_R: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        weights = np.zeros(signed.shape[1])
        if start_R is None or not start_R.any():
            return weights, np.zeros(len(signed))
        height_M = self.rows_MR @ start_R
        left, right = height_M[: self.num_left].mean(), height_M[self.num_left :].mean()
        if left == right:
            return weights, np.zeros(len(signed))
        weights[:-1] = start_R * 2 / (left - right)
        weights[-1] = -(left + right) / (left - right) / self.radius
        return weights, signed @ weights

    def _separation(self, weights_R: np.ndarray) -> Separation | None:
        length = np.linalg.norm(weights_R)
        if not length:
            return None
        normal_R = weights_R / length
        height_M = self.rows_MR @ normal_R
        low, high = height_M[: self.num_left].min(), height_M[self.num_left :].max()
        if low - high <= self.resolution:
            return None
        return Separation(normal_R, float(low + high) / 2, float(low - high))

    def _meeting(self, deficit_M: np.ndarray, weights_R: np.ndarray) -> Meeting | None:
        open_M = np.maximum(deficit_M, 0)
        left_P, right_Q = open_M[: self.num_left], open_M[self.num_left :]
        if not left_P.any() or not right_Q.any():
            return None
        left_P, right_Q = left_P / left_P.sum(), right_Q / right_Q.sum()
        apart_R = left_P @ self.rows_MR[: self.num_left] - right_Q @ self.rows_MR[self.num_left :]
        if np.linalg.norm(apart_R) > self.resolution:
            return None
        length = np.linalg.norm(weights_R)
        return Meeting(left_P, right_Q, weights_R / length if length else weights_R)


def _newton_step(signed_AR: Floats, deficit_A: Floats) -> Floats:
    """The shortest step that minimises |deficit - signed step|, solved in the smaller of both spaces."""
    num_open, width = signed_AR.shape
    if num_open < width:
        return signed_AR.T @ _solve(signed_AR @ signed_AR.T, deficit_A)
    return _solve(signed_AR.T @ signed_AR, signed_AR.T @ deficit_A)


def _solve(gram: Floats, right_hand: Floats) -> Floats:
    diagonal = np.einsum("ii->i", gram)
    mean = diagonal.mean()
    ridge = _RIDGE
    while True:
        diagonal += ridge * mean
        try:
            factor = linalg.cho_factor(gram, check_finite=False)
        except linalg.LinAlgError:
            ridge *= 100
            continue
        solution: Floats = linalg.cho_solve(factor, right_hand, check_finite=False)
        return solution


def _decided_by_distance(rows_MR: np.ndarray, num_left: int, resolution: float) -> Separation | Meeting:
    """The answer from the bounds of the hulls' distance.

    Raises ArithmeticError if the resolution lies between the bounds.
    """
    distance = hull_distance(rows_MR[:num_left], rows_MR[num_left:])
    if distance.lower > resolution:
        return Separation(distance.normal_D, distance.offset, distance.lower)
    if distance.upper <= resolution:
        return Meeting(distance.left_weights_P, distance.right_weights_Q, distance.normal_D)
    raise ArithmeticError(
        f"the hulls of {num_left} and {len(rows_MR) - num_left} points are {distance.lower:g} to "
        f"{distance.upper:g} apart, and the resolution is {resolution:g}."
    )
