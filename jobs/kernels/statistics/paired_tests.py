"""Paired tests and intervals for the difference of two models on the same examples.

Axes: S seeds, N examples. `correct` is 1 (or True) for a correct prediction and 0 for a wrong one.
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from layerscope.jobs.kernels.statistics.intervals import Interval

BATCH_ENTRIES = 4_000_000
"""Resampled examples held at once (32 MB each for indices and values)."""


def mcnemar(correct_a: Sequence[bool] | np.ndarray, correct_b: Sequence[bool] | np.ndarray) -> float:
    """Exact two-sided p-value of McNemar's test that a alone and b alone are equally often correct.

    1.0 if they never differ. Raises ValueError unless both have 0 or 1 for the same examples.
    """
    a, b = _checked(correct_a, "correct_a", axes=1), _checked(correct_b, "correct_b", axes=1)
    _check_same_examples(a, b)
    only_a, only_b = int((a > b).sum()), int((b > a).sum())
    return float(stats.binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def holm(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """P-values adjusted for multiple tests, in the given order (Holm 1979): controls the family-wise error.

    Raises ValueError for values outside 0..1.
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    if p_values.ndim != 1 or not ((p_values >= 0) & (p_values <= 1)).all():
        raise ValueError(f"p-values must be a list of numbers in 0..1, got {p_values.tolist()}.")
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p_values[order]), 1)
    return adjusted


def difference_interval(
    correct_a_SN: np.ndarray,
    correct_b_SN: np.ndarray,
    *,
    level: float = 0.95,
    num_resamples: int = 10_000,
    seed: int,
) -> Interval:
    """Mean of a minus mean of b, with percentile bounds of a paired bootstrap over the test examples.

    Each model's values are first averaged over its seeds; a and b may have different numbers of seeds. The
    bounds measure the variation over test examples for these seeds, not over seeds.

    Raises ValueError unless both have 0 or 1 as (seeds, examples) with the same two or more examples.
    """
    a, b = _checked(correct_a_SN, "correct_a_SN", axes=2), _checked(correct_b_SN, "correct_b_SN", axes=2)
    _check_same_examples(a, b)
    difference_N = a.mean(axis=0) - b.mean(axis=0)
    if len(difference_N) < 2:
        raise ValueError("a bootstrap needs at least 2 examples, got 1.")
    bounds = stats.bootstrap(
        (difference_N,),
        np.mean,
        n_resamples=num_resamples,
        batch=max(1, BATCH_ENTRIES // len(difference_N)),
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(float(difference_N.mean()), float(bounds.low), float(bounds.high))


def average_interval(
    differences: Sequence[np.ndarray],
    *,
    level: float = 0.95,
    num_resamples: int = 10_000,
    seed: int,
) -> tuple[Interval, float]:
    """The average over tasks of each task's mean difference, and a two-sided p-value for zero difference.

    The bootstrap is stratified by task: examples are resampled within each task, and all tasks have the same
    weight. The p-value counts the resamples on the far side of zero, so it is at least
    2 / (num_resamples + 1), and 1 if no example differs.

    Args:
        differences: For each task one number per example (N,), such as its mean over seeds of a minus b.

    Raises ValueError without a task, and for a task with fewer than two examples or a value that is not
    finite.
    """
    rng = np.random.default_rng(seed)
    differences = [np.asarray(values, dtype=np.float64) for values in differences]
    if not differences:
        raise ValueError("an average needs at least one task, got none.")
    averages_R = np.zeros(num_resamples)
    for values_N in differences:
        if values_N.ndim != 1 or len(values_N) < 2 or not np.isfinite(values_N).all():
            raise ValueError(f"a task needs 2 or more finite differences, got shape {values_N.shape}.")
        # Few values are distinct, so it is cheaper to sample their counts, which are multinomial.
        distinct, counts = np.unique(values_N, return_counts=True)
        for batch in np.array_split(averages_R, -(-num_resamples * len(distinct) // BATCH_ENTRIES)):
            drawn_RV = rng.multinomial(len(values_N), counts / len(values_N), size=len(batch))
            batch += drawn_RV @ distinct / len(values_N) / len(differences)
    mean = float(np.mean([values_N.mean() for values_N in differences]))
    # Without the tolerance, resamples with a zero average up to rounding would count on one side only.
    rounding = 1e-12
    far = min(int((averages_R <= rounding).sum()), int((averages_R >= -rounding).sum()))
    p_value = min(1.0, 2 * (far + 1) / (num_resamples + 1))
    low, high = np.quantile(averages_R, [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean, float(low), float(high)), p_value


def _checked(correct: Sequence[bool] | np.ndarray, name: str, *, axes: int) -> np.ndarray:
    values = np.asarray(correct, dtype=np.float64)
    if values.ndim != axes or not values.size:
        expected = "(examples,)" if axes == 1 else "(seeds, examples)"
        raise ValueError(f"{name} must be {expected} and not empty, got shape {values.shape}.")
    if not np.isin(values, (0, 1)).all():
        raise ValueError(f"{name} must be 1 for correct and 0 for wrong, got other values.")
    return values


def _check_same_examples(a: np.ndarray, b: np.ndarray) -> None:
    if a.shape[-1] != b.shape[-1]:
        raise ValueError(
            f"a has {a.shape[-1]} examples and b has {b.shape[-1]}: both must be tested on the same ones."
        )
