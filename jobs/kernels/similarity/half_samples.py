"""Standard errors of any statistic of examples, from the differences between random halves.

Axes: N examples, S values of a statistic, R splits.
"""

from collections.abc import Callable

import numpy as np
from scipy import stats


def half_sample_errors(
    statistic: Callable[[np.ndarray], np.ndarray], num_examples: int, *, num_halves: int = 20, seed: int = 0
) -> np.ndarray:
    """Standard error of each value: float64 (S,), NaN if the value is NaN for some half.

    The examples are split at random `num_halves` / 2 times. Two halves share no example, so half of their
    squared difference is an unbiased estimate of the variance at N/2 examples, which is twice the variance at
    N. The only assumption is that the variance falls as 1/N (random groups, Wolter 2007, section 2.2). Halves
    are sampled without replacement: a repeated row is similar to itself, which would bias similarities of
    layers.

    In simulations of 200 examples, intervals of +-`half_sample_factor` errors cover the mean value of the
    measures that use them in 93 to 96 % of 100 to 300.

    Args:
        statistic: Takes row indices in ascending order and returns values (S,).
        num_halves: Even: two for each split.

    Raises ValueError for an odd number of halves, fewer than two halves, or fewer than four examples.
    """
    if num_halves < 2 or num_halves % 2 or num_examples < 4:
        raise ValueError(
            "halves come in pairs, of four examples or more: "
            f"got {num_halves} halves of {num_examples} examples."
        )
    rng = np.random.default_rng(seed)
    differences_RS = []
    for _ in range(num_halves // 2):
        order = rng.permutation(num_examples)
        first, second = (np.sort(half) for half in np.array_split(order, 2))
        differences_RS.append(statistic(first) - statistic(second))
    error_S: np.ndarray = np.sqrt(np.square(differences_RS).mean(axis=0)) / 2
    return error_S


def half_sample_factor(num_halves: int, *, level: float = 0.95) -> float:
    """Half-width of the interval with coverage `level`, in standard errors: Student's quantile, because few
    splits estimate an error only roughly."""
    return float(stats.t.ppf((1 + level) / 2, num_halves // 2))
