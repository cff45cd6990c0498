"""Paired bootstrap test over examples for the difference of two models' correlations with true numbers.

Axes: S seeds, N examples, R resamples, U distinct values.
"""

from typing import Literal, assert_never

import numpy as np

from layerscope.jobs.kernels.arrays import Floats
from layerscope.jobs.kernels.statistics.intervals import Interval
from layerscope.jobs.kernels.statistics.scores import pearson, spearman

Correlation = Literal["pearson", "spearman", "pearson_spearman"]

LEAST_EXAMPLES = 3
_BATCH_ENTRIES = 1_000_000
"""Resampled examples held at once, in about ten arrays."""


def correlation_difference(
    numbers_N: np.ndarray,
    predictions_a_SN: np.ndarray,
    predictions_b_SN: np.ndarray,
    *,
    correlation: Correlation,
    level: float = 0.95,
    num_resamples: int = 2000,
    seed: int,
) -> tuple[Interval, float]:
    """Correlation of a with the true numbers minus that of b, and a two-sided p-value for zero difference.

    Correlations are averaged over the seeds of a model; a and b may have different numbers of seeds. Each
    resample uses the same examples for both. Bounds are percentiles; the p-value counts the resamples on the
    far side of zero, so it is at least 2 / (num_resamples + 1), and 1 if both have equal predictions. Both
    measure the variation over test examples for these seeds, not over seeds.

    Raises ValueError unless all are finite and of the same three or more examples.
    """
    numbers_N = np.asarray(numbers_N, np.float64)
    sides = [np.asarray(side, np.float64) for side in (predictions_a_SN, predictions_b_SN)]
    _check(numbers_N, sides)
    rng = np.random.default_rng(seed)
    count = len(numbers_N)
    differences = []
    for batch in np.array_split(np.arange(num_resamples), -(-num_resamples * count // _BATCH_ENTRIES)):
        counts_RN = rng.multinomial(count, np.full(count, 1 / count), size=len(batch)).astype(np.float64)
        a_R, b_R = (
            np.mean([_resampled(numbers_N, one, counts_RN, correlation) for one in side], axis=0)
            for side in sides
        )
        differences.append(a_R - b_R)
    difference_R = np.concatenate(differences)
    a, b = (np.mean([_correlation(numbers_N, one, correlation) for one in side]) for side in sides)
    # Without the tolerance, resamples with a zero difference up to rounding would count on one side only.
    rounding = 1e-12
    far = min(int((difference_R <= rounding).sum()), int((difference_R >= -rounding).sum()))
    low, high = np.quantile(difference_R, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(a - b), float(low), float(high)), min(1.0, 2 * (far + 1) / (num_resamples + 1))


def _check(numbers_N: np.ndarray, sides: list[np.ndarray]) -> None:
    if numbers_N.ndim != 1 or len(numbers_N) < LEAST_EXAMPLES or not np.isfinite(numbers_N).all():
        raise ValueError(f"correlations need 3 or more finite numbers, got shape {numbers_N.shape}.")
    for side in sides:
        if side.ndim != 2 or side.shape[1] != len(numbers_N) or not len(side):
            raise ValueError(f"predictions must be (seeds, {len(numbers_N)}), got shape {side.shape}.")
        if not np.isfinite(side).all():
            raise ValueError("predictions must be finite.")


def _correlation(numbers_N: np.ndarray, predictions_N: np.ndarray, correlation: Correlation) -> float:
    match correlation:
        case "pearson":
            return pearson(numbers_N, predictions_N)
        case "spearman":
            return spearman(numbers_N, predictions_N)
        case "pearson_spearman":
            return (pearson(numbers_N, predictions_N) + spearman(numbers_N, predictions_N)) / 2
        case never:
            assert_never(never)


def _resampled(
    numbers_N: np.ndarray, predictions_N: np.ndarray, counts_RN: np.ndarray, correlation: Correlation
) -> Floats:
    """The correlation in each resample (R,), with examples weighted by their counts."""
    match correlation:
        case "pearson":
            return _weighted_pearson(numbers_N[None], predictions_N[None], counts_RN)
        case "spearman":
            number_ranks, predicted_ranks = (_ranks(of_N, counts_RN) for of_N in (numbers_N, predictions_N))
            return _weighted_pearson(number_ranks, predicted_ranks, counts_RN)
        case "pearson_spearman":
            both = (_resampled(numbers_N, predictions_N, counts_RN, one) for one in ("pearson", "spearman"))
            return sum(both, start=np.zeros(len(counts_RN))) / 2
        case never:
            assert_never(never)


def _ranks(values_N: np.ndarray, counts_RN: np.ndarray) -> np.ndarray:
    """The mean rank of each value in the resample (R, N); repeated values are tied."""
    order = np.argsort(values_N, kind="stable")
    _, starts, places_N = np.unique(values_N[order], return_index=True, return_inverse=True)
    counts_RU = np.add.reduceat(counts_RN[:, order], starts, axis=1)
    ranks_RU = np.cumsum(counts_RU, axis=1) - (counts_RU - 1) / 2
    ranks_RN = np.empty_like(counts_RN)
    ranks_RN[:, order] = ranks_RU[:, places_N]
    return ranks_RN


def _weighted_pearson(x: np.ndarray, y: np.ndarray, counts_RN: np.ndarray) -> Floats:
    """Weighted correlation (R,) of values (1 or R, N); 0 if one side is constant, as in `scores.pearson`."""
    x, x_varies_R = _centred(x, counts_RN)
    y, y_varies_R = _centred(y, counts_RN)
    cross_R = np.sum(counts_RN * x * y, axis=1)
    norm_R = np.sqrt(np.sum(counts_RN * x * x, axis=1) * np.sum(counts_RN * y * y, axis=1))
    correlation_R: Floats = np.divide(
        cross_R, norm_R, out=np.zeros_like(cross_R), where=x_varies_R & y_varies_R
    )
    return correlation_R


def _centred(values: np.ndarray, counts_RN: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values minus their mean in each resample, and whether the resample varies (R,)."""
    drawn = counts_RN > 0
    varies_R = np.where(drawn, values, -np.inf).max(axis=1) > np.where(drawn, values, np.inf).min(axis=1)
    return values - np.sum(counts_RN * values, axis=1, keepdims=True) / counts_RN.shape[1], varies_R
