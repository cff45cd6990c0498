"""The nearest points of two convex hulls by an interior-point method, for sets that nearly touch.

Axes: W points of both sets, D coordinates; 2 is left and right.
"""

import numpy as np
from scipy.linalg import lapack

_STEPS = 80
"""Most steps; 15 to 40 were seen."""

_TO_THE_EDGE = 0.99
"""Part of the way to the nearest edge of the feasible region that one step goes."""


def nearest_combinations(
    signed_WD: np.ndarray,
    gram_WW: np.ndarray,
    is_left_W: np.ndarray,
    *,
    tolerance: float,
    smallest: float,
) -> np.ndarray:
    """Weights (W), each side's with sum 1, that make |weights @ signed| least: points of the right side come
    with their sign turned. The Gram matrix is that of the signed points.

    Mehrotra's predictor and corrector (Nocedal and Wright 2006, algorithm 16.4) from strictly feasible points
    of both the problem and its dual, so that weights @ slack is the gap between them. It ends when that gap
    is below `tolerance` of the squared distance, the distance below `smallest`, or rounding stops the steps.
    """
    side_W2 = np.stack([is_left_W, ~is_left_W], axis=1).astype(np.float64)
    weights_W: np.ndarray = side_W2 @ (1 / side_W2.sum(axis=0))
    apart_D = weights_W @ signed_WD
    height_W = signed_WD @ apart_D
    spread = max(float(np.ptp(height_W)), float(apart_D @ apart_D), np.finfo(float).tiny)
    slack_W = height_W - side_W2 @ _lowest(height_W, is_left_W) + 0.1 * spread
    best_W, best = weights_W, float(np.linalg.norm(apart_D))
    for _ in range(_STEPS):
        if weights_W @ slack_W <= tolerance * best**2 or best <= smallest:
            break
        step = _step(gram_WW, side_W2, weights_W, slack_W)
        if step is None:
            break
        step_W, slack_step_W = step
        length = _TO_THE_EDGE * _reach(weights_W, step_W, slack_W, slack_step_W)
        weights_W = weights_W + length * step_W
        slack_W = slack_W + length * slack_step_W
        # The sums stay 1 whatever the rounding.
        weights_W = weights_W / (side_W2 @ (weights_W @ side_W2))
        distance = float(np.linalg.norm(weights_W @ signed_WD))
        if distance < best:
            best_W, best = weights_W, distance
    return best_W


def _lowest(height_W: np.ndarray, is_left_W: np.ndarray) -> np.ndarray:
    return np.array([height_W[is_left_W].min(), height_W[~is_left_W].min()])


def _step(
    gram_WW: np.ndarray, side_W2: np.ndarray, weights_W: np.ndarray, slack_W: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """The step of the weights and of the slacks, or None where the system is singular in float64."""
    system_WW = gram_WW.copy()
    system_WW[np.diag_indices_from(system_WW)] += slack_W / weights_W
    # LAPACK itself: for systems of a hundred rows scipy.linalg.cho_factor and cho_solve take longer to check
    # their arguments than to solve.
    factor_WW, failed = lapack.dpotrf(system_WW)
    if failed:
        return None
    sides_W2, _ = lapack.dpotrs(factor_WW, side_W2)

    def solved(product_W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Towards weights * slack = current product + product_W."""
        free_W, _ = lapack.dpotrs(factor_WW, product_W / weights_W)
        price_2 = np.linalg.solve(side_W2.T @ sides_W2, -side_W2.T @ free_W)
        step_W = free_W + sides_W2 @ price_2
        return step_W, (product_W - slack_W * step_W) / weights_W

    product_W = weights_W * slack_W
    try:
        step_W, slack_step_W = solved(-product_W)
        reach = _reach(weights_W, step_W, slack_W, slack_step_W)
        reached = (weights_W + reach * step_W) @ (slack_W + reach * slack_step_W)
        centring = (reached / product_W.sum()) ** 3
        return solved(centring * product_W.mean() - product_W - step_W * slack_step_W)
    except np.linalg.LinAlgError:  # the prices': the Gram matrix of narrow gaps factorises by luck only
        return None


def _reach(weights_W: np.ndarray, step_W: np.ndarray, slack_W: np.ndarray, slack_step_W: np.ndarray) -> float:
    """How far, at most 1, both stay at or above zero."""
    values = np.concatenate([weights_W, slack_W])
    steps = np.concatenate([step_W, slack_step_W])
    falls = steps < 0
    return float(min(1.0, (-values[falls] / steps[falls]).min(initial=np.inf)))
