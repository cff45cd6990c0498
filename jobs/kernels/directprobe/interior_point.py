"""The nearest points of two convex hulls by an interior-point method, for sets that nearly touch.

Axes: W points of both sets, D coordinates; 2 is left and right.
"""

import numpy as np
from scipy.linalg import lapack

_STEPS = 80
"""Maximum steps; 15 to 40 were observed."""

_TO_THE_EDGE = 0.99
"""Share of the way to the boundary of the feasible region that one step goes."""


def nearest_combinations(
    signed_WD: np.ndarray,
    gram_WW: np.ndarray,
    is_left_W: np.ndarray,
    *,
    tolerance: float,
    smallest: float,
) -> np.ndarray:
    """Weights (W) that minimise |weights @ signed|; the weights of each side sum to 1. Points of the right
    side are negated. The Gram matrix is that of the signed points.

    Mehrotra's predictor-corrector method (Nocedal and Wright 2006, algorithm 16.4) from strictly feasible
    points of the primal and the dual, so weights @ slack is the duality gap. It ends when the gap is at most
    `tolerance` of the squared distance, the distance at most `smallest`, or rounding prevents a step.
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
        # Normalised again, because rounding changes the sums.
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
    """The step of the weights and of the slacks, or None if the system is singular in float64."""
    system_WW = gram_WW.copy()
    system_WW[np.diag_indices_from(system_WW)] += slack_W / weights_W
    # LAPACK directly: for a hundred rows scipy.linalg.cho_factor and cho_solve spend more time on checking
    # their arguments than on solving.
    factor_WW, failed = lapack.dpotrf(system_WW)
    if failed:
        return None
    sides_W2, _ = lapack.dpotrs(factor_WW, side_W2)

    def solved(product_W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The step towards weights * slack = current product + product_W."""
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
    """The largest step length, at most 1, at which all weights and slacks are at least 0."""
    values = np.concatenate([weights_W, slack_W])
    steps = np.concatenate([step_W, slack_step_W])
    falls = steps < 0
    return float(min(1.0, (-values[falls] / steps[falls]).min(initial=np.inf)))
