"""Standard errors of any statistic of examples, from random halves of them.

Axes: N examples, S values of a statistic, R halves.
"""

from collections.abc import Callable

import numpy as np


def half_sample_errors(
    statistic: Callable[[np.ndarray], np.ndarray], num_examples: int, *, num_halves: int = 20, seed: int = 0
) -> np.ndarray:
    """Of each value: float64 (S,), NaN where a half has no value.

    Halves are drawn without replacement: a row drawn twice is similar to itself, which shifts similarities
    of layers. Of a mean, the variance over subsets of m examples is s^2 / m (1 - m / n), so the deviation
    over them times sqrt(m / (n - m)) is its standard error; what is smooth in the examples behaves like a
    mean (delete-d jackknife, Shao and Wu 1989). What grows with the number of examples has no such errors.

    Args:
        statistic: Takes the numbers of some rows in ascending order and gives values (S,).

    Raises ValueError for fewer than two halves or four examples.
    """
    if num_halves < 2 or num_examples < 4:
        raise ValueError(
            f"halves need 2 draws and 4 examples or more, got {num_halves} draws of {num_examples} examples."
        )
    rng = np.random.default_rng(seed)
    size = num_examples // 2
    values_RS = np.stack(
        [statistic(np.sort(rng.permutation(num_examples)[:size])) for _ in range(num_halves)]
    )
    return values_RS.std(axis=0, ddof=1) * np.sqrt(size / (num_examples - size))
