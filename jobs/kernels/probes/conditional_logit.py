"""A linear head for each layer that scores choices: the right choice of a question should score highest.

Axes: L layers, Q questions, C choices, N = Q * C choices of all questions in order, D features.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import solve
from scipy.special import log_softmax, softmax

from layerscope.jobs.kernels.probes.labelled_layers import check_layers, check_penalties, mean_and_scale
from layerscope.jobs.kernels.probes.refitted_heads import RefittedHeads

_HELD_OUT = 0.2
"""Share of the questions that is held out to choose the penalty."""
_GAP = 1e-5
"""A fit ends once its objective is provably at most this share of itself above the minimum."""
_NEWTON_STEPS = 50
_HALVINGS = 30
_SUFFICIENT_DECREASE = 1e-4
"""Armijo's constant: the share of the decrease predicted by the gradient that a step must achieve."""


def choice_heads(
    train_LND: Sequence[np.ndarray],
    rights: ArrayLike,
    *,
    num_choices: int,
    penalties: Sequence[float],
    seed: int,
) -> RefittedHeads:
    """Conditional logit (McFadden 1974) on each layer: the probability of a choice is the softmax of a linear
    score over the choices of its question. There is no intercept, which would not change any probability.

    The objective is the mean cross-entropy of questions + penalty / 2 * (sum of squared weights), solved to
    1e-5 of itself by Newton's method. Features are standardised for fitting; the returned heads apply to the
    raw states. The penalty with the lowest cross-entropy on a held-out fifth of the questions, sampled with
    the seed, is chosen; a tie gives the strongest. The final fit uses all questions.

    Args:
        train_LND: One row per choice: all choices of the first question, then of the second, and so on.
        rights: Index of the right choice of each question, from 0.

    Raises ValueError unless layers are finite and have `num_choices` rows per question, and if no question
    can be held out.
    """
    right_Q = np.asarray(rights)
    check_layers(train_LND, len(right_Q) * num_choices, "train")
    if right_Q.min() < 0 or right_Q.max() >= num_choices:
        raise ValueError(f"right choices must lie in 0 to {num_choices - 1}, got up to {right_Q.max()}.")
    strongest_first = np.sort(check_penalties(penalties))[::-1]
    held_out_Q = _hold_out(len(right_Q), seed=seed) if len(strongest_first) > 1 else None
    units = [mean_and_scale(layer_ND) for layer_ND in train_LND]
    weight_L1D = np.zeros((len(train_LND), 1, train_LND[0].shape[1]), dtype=np.float32)
    chosen = []
    for layer, (layer_ND, (mean_D, scale_D)) in enumerate(zip(train_LND, units, strict=True)):
        features_QCD = ((layer_ND - mean_D) * scale_D).reshape(len(right_Q), num_choices, -1)
        penalty = _chosen(features_QCD, right_Q, strongest_first, held_out_Q)
        weight_L1D[layer, 0] = _fit(features_QCD, right_Q, penalty) * scale_D
        chosen.append(penalty)
    return RefittedHeads(weight_L1D, np.zeros((len(train_LND), 1), np.float32), np.array(chosen))


def _hold_out(num_questions: int, *, seed: int) -> np.ndarray:
    num_held_out = round(_HELD_OUT * num_questions)
    if not num_held_out:
        raise ValueError(
            f"{num_questions} questions are too few for a held-out part to choose the penalty: give more "
            "examples, or a single penalty."
        )
    held_out_Q = np.zeros(num_questions, dtype=bool)
    held_out_Q[np.random.default_rng(seed).permutation(num_questions)[:num_held_out]] = True
    return held_out_Q


def _chosen(
    features_QCD: np.ndarray, right_Q: np.ndarray, penalties: np.ndarray, held_out_Q: np.ndarray | None
) -> float:
    if held_out_Q is None:
        return float(penalties[0])
    entropies = []
    weight_D = None
    for penalty in penalties:
        weight_D = _fit(features_QCD[~held_out_Q], right_Q[~held_out_Q], penalty, start_D=weight_D)
        entropies.append(_entropy(features_QCD[held_out_Q], right_Q[held_out_Q], weight_D))
    return float(penalties[int(np.argmin(entropies))])


def _entropy(features_QCD: np.ndarray, right_Q: np.ndarray, weight_D: np.ndarray) -> float:
    """Mean cross-entropy over questions, in nats."""
    log_chance_QC = log_softmax(features_QCD @ weight_D, axis=1)
    return float(-log_chance_QC[np.arange(len(right_Q)), right_Q].mean())


def _fit(
    features_QCD: np.ndarray, right_Q: np.ndarray, penalty: float, *, start_D: np.ndarray | None = None
) -> np.ndarray:
    num_questions, num_choices, width = features_QCD.shape
    features_ND = features_QCD.reshape(-1, width)
    right_QC = np.eye(num_choices)[right_Q]
    weight_D = np.zeros(width) if start_D is None else start_D

    def objective(weight_D: np.ndarray) -> float:
        return _entropy(features_QCD, right_Q, weight_D) + penalty / 2 * float(weight_D @ weight_D)

    for _ in range(_NEWTON_STEPS):
        chance_QC = softmax(features_QCD @ weight_D, axis=1)
        gradient_D = (chance_QC - right_QC).ravel() @ features_ND / num_questions + penalty * weight_D
        # The objective is strongly convex with the penalty as constant, so this bounds the gap to the
        # minimum.
        if gradient_D @ gradient_D / (2 * penalty) <= _GAP * objective(weight_D):
            return weight_D
        expected_QD = np.einsum("qc,qcd->qd", chance_QC, features_QCD)
        spread_ND = np.sqrt(chance_QC).reshape(-1, 1) * features_ND
        hessian_DD = (spread_ND.T @ spread_ND - expected_QD.T @ expected_QD) / num_questions
        hessian_DD[np.diag_indices(width)] += penalty
        step_D = -solve(hessian_DD, gradient_D, assume_a="pos")
        slope, value, length = float(gradient_D @ step_D), objective(weight_D), 1.0
        for _ in range(_HALVINGS):
            if objective(weight_D + length * step_D) <= value + _SUFFICIENT_DECREASE * length * slope:
                break
            length /= 2
        weight_D = weight_D + length * step_D
    raise ValueError(
        f"conditional logit with penalty {penalty:g} did not reach its minimum in {_NEWTON_STEPS} steps: "
        "give a larger penalty."
    )
