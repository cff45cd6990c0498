"""A linear head for each layer that predicts a number: ridge regression with a leave-one-out penalty.

Axes: L layers, N examples, D features, R singular directions, G penalties.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from layerscope.jobs.kernels.probes.labelled_layers import check_layers, check_penalties, mean_and_scale
from layerscope.jobs.kernels.probes.refitted_heads import RefittedHeads


def ridge_heads(
    train_LND: Sequence[np.ndarray], numbers: ArrayLike, *, penalties: Sequence[float]
) -> RefittedHeads:
    """Minimise half the mean squared error + penalty / 2 * (sum of squared weights) on each layer.

    Features are standardised for fitting; the returned heads apply to the raw states. The intercept is not
    penalised. The penalty has the lowest leave-one-out squared error (in closed form: the residual divided by
    one minus the leverage); a tie gives the strongest. A layer that does not vary predicts the mean.

    Raises ValueError unless layers and numbers are finite, of matching shapes, with three or more examples.
    """
    numbers_N = np.asarray(numbers, dtype=np.float64)
    check_layers(train_LND, len(numbers_N), "train")
    if len(numbers_N) < 3 or not np.isfinite(numbers_N).all():
        raise ValueError(f"a number needs 3 or more finite examples to be fitted to, got {len(numbers_N)}.")
    strongest_first_G = np.sort(check_penalties(penalties))[::-1]
    fits = [_fit(layer_ND, numbers_N, strongest_first_G) for layer_ND in train_LND]
    weights, biases, chosen = zip(*fits, strict=True)
    weight_L1D, bias_L1 = np.stack(weights)[:, None], np.array(biases)[:, None]
    return RefittedHeads(weight_L1D.astype(np.float32), bias_L1.astype(np.float32), np.array(chosen))


def _fit(
    layer_ND: np.ndarray, numbers_N: np.ndarray, penalty_G: np.ndarray
) -> tuple[np.ndarray, float, float]:
    """Weights (D,), the intercept and the penalty."""
    num_examples = len(numbers_N)
    mean_D, scale_D = mean_and_scale(layer_ND)
    left_NR, singular_R, right_RD = np.linalg.svd((layer_ND - mean_D) * scale_D, full_matrices=False)
    centred_N = numbers_N - numbers_N.mean()
    along_R = left_NR.T @ centred_N
    damped_GR = singular_R**2 + num_examples * penalty_G[:, None]
    share_GR = singular_R**2 / damped_GR
    fitted_GN = (share_GR * along_R) @ left_NR.T
    leverage_GN = 1 / num_examples + share_GR @ np.square(left_NR).T
    error_G = np.square((centred_N - fitted_GN) / (1 - leverage_GN)).mean(axis=1)
    best = int(error_G.argmin())
    weight_D = scale_D * (right_RD.T @ (singular_R / damped_GR[best] * along_R))
    return weight_D, float(numbers_N.mean() - mean_D @ weight_D), float(penalty_G[best])
