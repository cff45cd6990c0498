"""The exact minimum of a convex, piecewise quadratic function along a line.

Axes: M hinges.
"""

import numpy as np


def minimise_along(
    deficit_M: np.ndarray, change_M: np.ndarray, *, slope: float = 0.0, curvature: float = 0.0
) -> float:
    """The s >= 0 that minimises slope s + curvature s^2 / 2 + sum(max(0, deficit - s change)^2) / 2.

    The derivative is linear between two breakpoints, where a hinge opens or closes; it is followed from
    breakpoint to breakpoint until its sign changes. Infinite if the function decreases without bound.
    """
    is_open_M = (deficit_M > 0) | ((deficit_M == 0) & (change_M < 0))
    open_change_M = change_M[is_open_M]
    first_slope = slope - open_change_M @ deficit_M[is_open_M]
    first_curvature = curvature + open_change_M @ open_change_M
    turns_M = deficit_M * change_M > 0
    deficit_T, change_T, closes_T = deficit_M[turns_M], change_M[turns_M], is_open_M[turns_M]
    place_T = deficit_T / change_T
    order_T = np.argsort(place_T, kind="stable")
    sign_T = np.where(closes_T, -1.0, 1.0)[order_T]
    deficit_T, change_T = deficit_T[order_T], change_T[order_T]
    slopes = first_slope - np.concatenate([[0.0], np.cumsum(sign_T * change_T * deficit_T)])
    curvatures = first_curvature + np.concatenate([[0.0], np.cumsum(sign_T * change_T**2)])
    ends = np.append(place_T[order_T], np.inf)
    with np.errstate(invalid="ignore"):
        rises = slopes[:-1] + curvatures[:-1] * ends[:-1] >= 0
    piece = int(rises.argmax()) if rises.any() else len(ends) - 1
    if curvatures[piece] <= 0:
        return float(ends[piece])
    return float(max(0.0, -slopes[piece] / curvatures[piece]))
