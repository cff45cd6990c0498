"""The nearest faces of two convex hulls by an active set, for sets that nearly touch.

An interior-point method works on products of the points, which lose half of the digits. Here every direction
is computed from the points themselves, so heights along it are exact up to their own rounding.

Axes: W points of both sets, D coordinates; F points of the two faces, K differences along them.
"""

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from layerscope.jobs.kernels.arrays import Booleans, Floats

_CARRIES = 1e-6
"""The initial faces hold the points with more than this share of the largest weight."""

_FLAT = 0.1
"""Share of the tolerance by which a point may leave the span of a face's other points and count as inside."""

_JOIN = 16
"""Initial number of points added to the faces; then twice as many if one of them stayed, a quarter if
none."""

_STEPS = 200
"""Maximum steps; 1 to 70 were observed."""


@dataclass(frozen=True)
class NearestFaces:
    """The best of each bound; the two may come from different faces."""

    normal_D: np.ndarray
    """Unit vector from right to left; 0 if no direction was found."""

    weights_W: np.ndarray
    """The weights of each side sum to 1."""


def nearest_faces(
    signed_WD: np.ndarray, is_left_W: np.ndarray, weights_W: np.ndarray, *, tolerance: float
) -> NearestFaces:
    """The direction between the nearest faces and the weights of their points, improved from `weights_W`.
    Points of the right side are negated; the weights of each side sum to 1.

    The method is Wolfe's (1976, "Finding the nearest point in a polytope") on two hulls, with several points
    at once. A QR decomposition gives the nearest points of the two affine spaces through the faces; points
    with negative weights there leave the faces, and points in front of the faces join them. It ends when the
    bounds, measured on these points, are within `tolerance`, or when no joining point stays.
    """
    search = _Search(signed_WD, is_left_W, weights_W, tolerance)
    search.run()
    return NearestFaces(search.normal_D, search.best_W)


class _Search:
    def __init__(self, signed_WD: np.ndarray, is_left_W: np.ndarray, weights_W: np.ndarray, tolerance: float):
        self.signed_WD, self.is_left_W, self.tolerance = signed_WD, is_left_W, tolerance
        self.best_W, self.upper = weights_W, float(np.linalg.norm(weights_W @ signed_WD))
        self.normal_D, self.lower = np.zeros(signed_WD.shape[1]), -np.inf
        self.faces_F = np.flatnonzero(weights_W > _CARRIES * weights_W.max())
        self.weights_F = self._scaled(weights_W[self.faces_F])

    def run(self) -> None:
        joined, num_joining = np.zeros(0, dtype=np.intp), _JOIN
        for _ in range(_STEPS):
            apart_D, affine_F = self._nearest_in_affine_spaces()
            height_W = self.signed_WD @ apart_D
            self._offer_normal(apart_D, height_W)
            self._offer_weights(self._scaled(np.maximum(affine_F, 0)))
            if self.upper - self.lower <= self.tolerance * self.upper:
                return
            self._move_towards(affine_F)
            if affine_F.min() < 0:
                continue
            if len(joined) and not np.isin(joined, self.faces_F).any():
                if num_joining == 1:
                    return
                num_joining = max(1, num_joining // 4)
            elif len(joined):
                num_joining *= 2
            joined = self._before_faces(height_W, num_joining)
            if not len(joined):
                return
            self.faces_F = np.append(self.faces_F, joined)
            self.weights_F = np.append(self.weights_F, np.zeros(len(joined)))

    def _scaled(self, weights_F: Floats) -> Floats:
        """The weights with sum 1 on each side."""
        is_left_F = self.is_left_W[self.faces_F]
        total_F: Floats = np.where(is_left_F, weights_F[is_left_F].sum(), weights_F[~is_left_F].sum())
        return weights_F / total_F

    def _nearest_in_affine_spaces(self) -> tuple[np.ndarray, np.ndarray]:
        """The difference of the nearest points, and the weights of the faces' points there; a point in the
        span of the others has weight 0."""
        is_left_F = self.is_left_W[self.faces_F]
        places = (np.flatnonzero(is_left_F), np.flatnonzero(~is_left_F))
        first = [side[np.argmax(self.weights_F[side])] for side in places]
        rest = [side[side != one] for side, one in zip(places, first, strict=True)]
        points_FD = self.signed_WD[self.faces_F]
        along_KD = np.concatenate(
            [points_FD[side] - points_FD[one] for side, one in zip(rest, first, strict=True)]
        )
        flat = _FLAT * self.tolerance * self.upper
        apart_D, share_K = _shortened(points_FD[first].sum(axis=0), along_KD, flat)
        affine_F = np.zeros(len(self.faces_F))
        affine_F[np.concatenate(rest)] = share_K
        for side, one in zip(places, first, strict=True):
            affine_F[one] = 1 - affine_F[side].sum()
        return apart_D, affine_F

    def _move_towards(self, affine_F: np.ndarray) -> None:
        """Move to these weights, negative ones clipped, if the distance does not grow; otherwise towards them
        as far as all weights stay positive. Points whose weight reaches 0 leave the faces."""
        clipped_F = self._scaled(np.maximum(affine_F, 0))
        if self._distance(clipped_F) <= self._distance(self.weights_F) * (1 + _FLAT * self.tolerance):
            weights_F, stays_F = clipped_F, affine_F > 0
        else:
            falls_F = np.flatnonzero(affine_F < 0)
            reach_F = self.weights_F[falls_F] / (self.weights_F[falls_F] - affine_F[falls_F])
            weights_F = self.weights_F + reach_F.min() * (affine_F - self.weights_F)
            stays_F = (weights_F > 0) | (affine_F > 0)
            stays_F[falls_F[reach_F.argmin()]] = False
        self.faces_F = self.faces_F[stays_F]
        self.weights_F = self._scaled(np.maximum(weights_F[stays_F], 0))

    def _distance(self, weights_F: np.ndarray) -> float:
        return float(np.linalg.norm(weights_F @ self.signed_WD[self.faces_F]))

    def _offer_normal(self, apart_D: np.ndarray, height_W: np.ndarray) -> None:
        length = float(np.linalg.norm(apart_D))
        if not length:
            return
        lower = float(height_W[self.is_left_W].min() + height_W[~self.is_left_W].min()) / length
        if lower > self.lower:
            self.lower, self.normal_D = lower, apart_D / length

    def _offer_weights(self, weights_F: np.ndarray) -> None:
        weights_W = np.zeros(len(self.signed_WD))
        weights_W[self.faces_F] = weights_F
        upper = self._distance(weights_F)
        if upper < self.upper:
            self.best_W, self.upper = weights_W, upper

    def _before_faces(self, height_W: np.ndarray, count: int) -> np.ndarray:
        """The points farthest in front of the face of their side, at most `count`."""
        height_F, is_left_F = height_W[self.faces_F], self.is_left_W[self.faces_F]
        face_W = np.where(self.is_left_W, height_F[is_left_F].min(), height_F[~is_left_F].min())
        before_W = face_W - height_W
        farthest: np.ndarray = np.argsort(-before_W, kind="stable")[:count]
        is_before: Booleans = before_W[farthest] > 0
        return farthest[is_before]


def _shortened(apart_D: np.ndarray, along_KD: np.ndarray, flat: float) -> tuple[np.ndarray, np.ndarray]:
    """The component of `apart_D` orthogonal to `along_KD`, and the coefficients of `along_KD` that added to
    `apart_D` give it. Vectors that leave the span of the others by at most `flat` have coefficient 0."""
    share_K = np.zeros(len(along_KD))
    if not len(along_KD):
        return apart_D, share_K
    basis, triangle, order_K = linalg.qr(along_KD.T, mode="economic", pivoting=True, check_finite=False)
    rank = int((np.abs(np.diag(triangle)) > flat).sum())
    basis = basis[:, :rank]
    part = basis.T @ apart_D
    share_K[order_K[:rank]] = linalg.solve_triangular(triangle[:rank, :rank], -part, check_finite=False)
    # Twice, because rounding leaves a part along the basis after one projection.
    for _ in range(2):
        apart_D = apart_D - basis @ (basis.T @ apart_D)
    return apart_D, share_K
