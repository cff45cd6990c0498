"""Distribution of the usual step length from layer to layer, without jumps.

Axes: S steps.

The cube roots of steps are modelled as normal, as those of gamma variables nearly are (Wilson and Hilferty
1931). Their mean and standard deviation come from a line through the normal quantile plot without the longest
quarter, so that jumps do not affect the estimates.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

_LEAST = 1e-6
"""Minimum step length; noise can make a step negative."""
_USUAL = 0.99
"""Probability that no usual step of a whole stack of layers exceeds the longest length that counts as
usual."""


@dataclass(frozen=True)
class UsualSteps:
    """Normal distribution of the cube roots of usual steps."""

    mean: float
    deviation: float
    num_seen: int
    """Number of steps that the estimates use, three or more."""

    def cut(self, steps_S: np.ndarray) -> np.ndarray:
        """The steps, clipped to the longest usual length."""
        tail = (1 - _USUAL) / len(steps_S)
        spread = self.deviation * np.sqrt(1 + 1 / self.num_seen)
        longest = self.mean + spread * stats.t.isf(tail, self.num_seen - 2)
        cut_S: np.ndarray = np.clip(steps_S, _LEAST, max(longest, np.cbrt(_LEAST)) ** 3)
        return cut_S

    def draw(self, num_steps: int, rng: np.random.Generator) -> np.ndarray:
        """Sample usual steps. The estimates use few steps, so each call also samples the mean and
        deviation."""
        freedom = self.num_seen - 2
        deviation = self.deviation * np.sqrt(freedom / rng.chisquare(freedom))
        mean = self.mean + deviation / np.sqrt(self.num_seen) * rng.standard_normal()
        roots_S = mean + deviation * rng.standard_normal(num_steps)
        drawn_S: np.ndarray = np.maximum(roots_S, np.cbrt(_LEAST)) ** 3
        return drawn_S


def usual_steps(steps_S: np.ndarray) -> UsualSteps:
    """Fit the distribution to three or more steps, in any order and unit."""
    count = len(steps_S)
    roots_S = np.sort(np.cbrt(np.maximum(steps_S, _LEAST)))
    quantiles_S = stats.norm.ppf((np.arange(1, count + 1) - 3 / 8) / (count + 1 / 4))  # Blom 1958
    num_seen = count - count // 4
    deviation, mean = np.polyfit(quantiles_S[:num_seen], roots_S[:num_seen], 1)
    return UsualSteps(float(mean), max(float(deviation), 0.0), num_seen)
