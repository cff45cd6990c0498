"""Multinomial logistic regression of many feature sets and penalties at once, by Newton's method.

Axes: L feature sets (layers), N examples, D features, C classes, G penalties; R are the rotated features and
a constant last one for the intercept. Each of the L x G fits is a problem. Problems share computation, but
each has its own step lengths.
"""

from dataclasses import dataclass

import torch

_GAP = 1e-5
"""A problem is solved once its objective is provably at most this share of itself above the minimum."""

_NEWTON_STEPS = 100
"""Maximum Newton steps; penalties down to 1e-12 were observed to need fewer."""

_GRADIENT_STEPS = 200
"""Maximum conjugate gradient steps inside one Newton step."""

_INEXACTNESS = 0.5
"""Share of the gradient norm that may be left as residual of a Newton step; 0.1 took twice as many
products."""

_HALVINGS = 30
_SUFFICIENT_DECREASE = 1e-4
"""Armijo's constant: the share of the decrease predicted by the gradient that a step must achieve."""


@dataclass(frozen=True)
class LogisticFits:
    """Weights and intercepts of all problems; the logits are features @ weights + intercepts."""

    weights_LCGD: torch.Tensor
    intercepts_LCG: torch.Tensor


def fit_logistic(
    features_LND: torch.Tensor, labels_N: torch.Tensor, penalty_LG: torch.Tensor
) -> LogisticFits:
    """Minimise mean cross-entropy + penalty / 2 * (sum of squared weights) for each feature set and penalty.

    The penalty is 1 / (C N), with C of scikit-learn's `LogisticRegression`, for any number of classes: two
    classes have one logit, the difference, and only its weights are penalised.

    Features are float64 with columns of mean 0; labels are 0..C-1, all of which occur; penalties are
    positive. Intercepts are not penalised. The objective is convex, and strongly convex in the weights with
    the penalty as constant (twice the penalty for two classes). This bounds the distance to the minimum by
    |gradient|^2 / (2 constant): a problem is solved when that is at most 1e-5 of the objective.

    The method is Newton's with conjugate gradients and backtracking (Nocedal and Wright 2006, algorithm 7.1).
    Raises ValueError if a problem is not solved, because its penalty is too small for float64.
    """
    basis_LDR = _principal_basis(features_LND)
    problems = _Problems.of((features_LND @ basis_LDR).mT, labels_N, _on_class_weights(penalty_LG, labels_N))
    weights_LCGR = _minimise(problems, penalty_LG)
    return LogisticFits(_times(weights_LCGR[..., :-1], basis_LDR.mT), weights_LCGR[..., -1])


def predict_classes(fits: LogisticFits, features_LND: torch.Tensor) -> torch.Tensor:
    """The most probable class of each example under each problem: int64 (L, G, N)."""
    return (_times(fits.weights_LCGD, features_LND.mT) + fits.intercepts_LCG[..., None]).argmax(dim=1)


def _on_class_weights(penalty_LG: torch.Tensor, labels_N: torch.Tensor) -> torch.Tensor:
    """The penalty if every class has weights: two classes have opposite ones, w / 2 and -w / 2, whose squared
    norms sum to half of that of the single logit's w."""
    return 2 * penalty_LG if labels_N.max() == 1 else penalty_LG


def _principal_basis(features_LND: torch.Tensor) -> torch.Tensor:
    """Orthonormal principal directions of the rows, at most N of them: (L, D, R).

    The penalty is invariant to rotation, and weights outside the span of the rows are zero, so the minimum
    does not change. The Hessian is then nearly diagonal, and its diagonal preconditions the conjugate
    gradients.
    """
    num_examples, width = features_LND.shape[1:]
    if num_examples >= width:
        basis_LDR: torch.Tensor = torch.linalg.eigh(features_LND.mT @ features_LND).eigenvectors
        return basis_LDR
    span_LDR: torch.Tensor = torch.linalg.qr(features_LND.mT).Q
    return span_LDR @ _principal_basis(features_LND @ span_LDR)


@dataclass(frozen=True)
class _Problems:
    """The objective of all problems and its derivatives; the last row of the features is constant."""

    features_LRN: torch.Tensor
    features_LNR: torch.Tensor
    targets_C1N: torch.Tensor
    penalty_LG: torch.Tensor
    decay_L1GR: torch.Tensor
    """The penalty of each weight, which is 0 for the intercepts."""

    @classmethod
    def of(cls, rotated_LRN: torch.Tensor, labels_N: torch.Tensor, penalty_LG: torch.Tensor) -> "_Problems":
        features_LRN = torch.cat([rotated_LRN, torch.ones_like(rotated_LRN[:, :1])], dim=1)
        targets_NC = torch.nn.functional.one_hot(labels_N).to(features_LRN.dtype)
        decay_LGR = penalty_LG[:, :, None].repeat(1, 1, features_LRN.shape[1])
        decay_LGR[..., -1] = 0
        return cls(
            features_LRN, features_LRN.mT.contiguous(), targets_NC.T[:, None], penalty_LG, decay_LGR[:, None]
        )

    def start(self) -> torch.Tensor:
        num_classes = len(self.targets_C1N)
        return torch.zeros_like(self.decay_L1GR).repeat(1, num_classes, 1, 1)

    def objective(self, weights_LCGR: torch.Tensor) -> torch.Tensor:
        logits_LCGN = _times(weights_LCGR, self.features_LRN)
        entropy_LGN = logits_LCGN.logsumexp(dim=1) - (logits_LCGN * self.targets_C1N).sum(dim=1)
        return entropy_LGN.mean(dim=2) + _dot(self.decay_L1GR * weights_LCGR, weights_LCGR) / 2

    def chances(self, weights_LCGR: torch.Tensor) -> torch.Tensor:
        return _times(weights_LCGR, self.features_LRN).softmax(dim=1)

    def gradient(self, weights_LCGR: torch.Tensor, chances_LCGN: torch.Tensor) -> torch.Tensor:
        return self._mean_over_examples(chances_LCGN - self.targets_C1N) + self.decay_L1GR * weights_LCGR

    def curvature_along(self, direction_LCGR: torch.Tensor, chances_LCGN: torch.Tensor) -> torch.Tensor:
        """The Hessian times the direction."""
        change_LCGN = chances_LCGN * _times(direction_LCGR, self.features_LRN)
        change_LCGN = change_LCGN - chances_LCGN * change_LCGN.sum(dim=1, keepdim=True)
        return self._mean_over_examples(change_LCGN) + self.decay_L1GR * direction_LCGR

    def curvature_diagonal(self, chances_LCGN: torch.Tensor) -> torch.Tensor:
        spread_LCGN = chances_LCGN * (1 - chances_LCGN)
        mean_LCGR = _times(spread_LCGN, self.features_LNR.square()) / spread_LCGN.shape[-1]
        # An intercept has no penalty: if all predictions are certain, its curvature would be 0.
        return (mean_LCGR + self.decay_L1GR).clamp(min=1e-12)

    def _mean_over_examples(self, values_LCGN: torch.Tensor) -> torch.Tensor:
        return _times(values_LCGN, self.features_LNR) / values_LCGN.shape[-1]


def _minimise(problems: _Problems, asked_LG: torch.Tensor) -> torch.Tensor:
    """The weights of all problems; error messages give the requested penalties."""
    weights_LCGR = problems.start()
    for _ in range(_NEWTON_STEPS):
        chances_LCGN = problems.chances(weights_LCGR)
        gradient_LCGR = problems.gradient(weights_LCGR, chances_LCGN)
        gap_LG = _dot(gradient_LCGR, gradient_LCGR) / (2 * problems.penalty_LG)
        # Not `>`: a NaN must never count as solved.
        open_LG = ~(gap_LG <= _GAP * problems.objective(weights_LCGR))
        if not open_LG.any():
            return weights_LCGR
        step_LCGR = _newton_step(problems, chances_LCGN, gradient_LCGR, open_LG)
        weights_LCGR = _backtrack(problems, weights_LCGR, step_LCGR, _dot(gradient_LCGR, step_LCGR))
    index, column = open_LG.nonzero()[0].tolist()
    penalty = asked_LG[index, column].item()
    raise ValueError(
        f"logistic regression on feature set {index} with penalty {penalty:g} did not reach its minimum in "
        f"{_NEWTON_STEPS} steps: give a larger penalty."
    )


def _newton_step(
    problems: _Problems, chances_LCGN: torch.Tensor, gradient_LCGR: torch.Tensor, open_LG: torch.Tensor
) -> torch.Tensor:
    """Approximately minus the inverse Hessian times the gradient, by conjugate gradients; 0 if solved."""
    diagonal_LCGR = problems.curvature_diagonal(chances_LCGN)
    allowed_LG = _INEXACTNESS * _dot(gradient_LCGR, gradient_LCGR).sqrt()
    step_LCGR = torch.zeros_like(gradient_LCGR)
    rest_LCGR = -gradient_LCGR
    direction_LCGR = rest_LCGR / diagonal_LCGR
    weight_LG = _dot(rest_LCGR, direction_LCGR)
    for _ in range(_GRADIENT_STEPS):
        open_LG = open_LG & (_dot(rest_LCGR, rest_LCGR).sqrt() > allowed_LG)
        if not open_LG.any():
            break
        curved_LCGR = problems.curvature_along(direction_LCGR, chances_LCGN)
        length_LG = torch.where(open_LG, weight_LG / _dot(direction_LCGR, curved_LCGR), 0)
        step_LCGR = step_LCGR + _spread(length_LG) * direction_LCGR
        rest_LCGR = rest_LCGR - _spread(length_LG) * curved_LCGR
        scaled_LCGR = rest_LCGR / diagonal_LCGR
        last_weight_LG, weight_LG = weight_LG, _dot(rest_LCGR, scaled_LCGR)
        ratio_LG = torch.where(open_LG, weight_LG / last_weight_LG, 0)
        direction_LCGR = scaled_LCGR + _spread(ratio_LG) * direction_LCGR
    return step_LCGR


def _backtrack(
    problems: _Problems, weights_LCGR: torch.Tensor, step_LCGR: torch.Tensor, slope_LG: torch.Tensor
) -> torch.Tensor:
    """The weights after the step, which is halved until it satisfies Armijo's condition."""
    objective_LG = problems.objective(weights_LCGR)
    length_LG = torch.ones_like(objective_LG)
    for _ in range(_HALVINGS):
        moved_LCGR = weights_LCGR + _spread(length_LG) * step_LCGR
        enough_LG = objective_LG + _SUFFICIENT_DECREASE * length_LG * slope_LG
        too_long_LG = ~(problems.objective(moved_LCGR) <= enough_LG)
        if not too_long_LG.any():
            break
        length_LG = torch.where(too_long_LG, length_LG / 2, length_LG)
    return moved_LCGR


def _times(left_LCGX: torch.Tensor, right_LXY: torch.Tensor) -> torch.Tensor:
    """One product per feature set, over its classes and penalties together: (L, C, G, Y)."""
    flat_LMY = left_LCGX.flatten(1, 2) @ right_LXY
    product_LCGY: torch.Tensor = flat_LMY.unflatten(1, left_LCGX.shape[1:3])
    return product_LCGY


def _dot(left_LCGR: torch.Tensor, right_LCGR: torch.Tensor) -> torch.Tensor:
    return (left_LCGR * right_LCGR).sum(dim=(1, 3))


def _spread(value_LG: torch.Tensor) -> torch.Tensor:
    return value_LG[:, None, :, None]
