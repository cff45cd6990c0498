"""How long the steps from layer to layer usually are, jumps left out.

Axes: S steps.

The cube roots of steps are taken as normal, as those of gamma variables nearly are (Wilson and Hilferty
1931). Their mean and deviation are those of the line through their normal quantiles, without the longest
quarter: what is to be told apart as a jump may not say how long a usual step is.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

_LEAST = 1e-6
"""A step that noise made negative has this length."""
_USUAL = 0.99
"""Part of all lines of layers in which no usual step is longer than the longest that counts as usual."""


@dataclass(frozen=True)
class UsualSteps:
    """What the cube roots of usual steps are like."""

    mean: float
    deviation: float
    num_seen: int
    """Number of steps for the estimates, three or more."""

    def cut(self, steps_S: np.ndarray) -> np.ndarray:
        """The steps, those that are too long to be usual as long as the longest that is."""
        tail = (1 - _USUAL) / len(steps_S)
        spread = self.deviation * np.sqrt(1 + 1 / self.num_seen)
        longest = self.mean + spread * stats.t.isf(tail, self.num_seen - 2)
        cut_S: np.ndarray = np.clip(steps_S, _LEAST, max(longest, np.cbrt(_LEAST)) ** 3)
        return cut_S

    def draw(self, num_steps: int, rng: np.random.Generator) -> np.ndarray:
        """Usual steps. Few were seen, so each draw has a mean and a deviation that fit them as well."""
        freedom = self.num_seen - 2
        deviation = self.deviation * np.sqrt(freedom / rng.chisquare(freedom))
        mean = self.mean + deviation / np.sqrt(self.num_seen) * rng.standard_normal()
        roots_S = mean + deviation * rng.standard_normal(num_steps)
        drawn_S: np.ndarray = np.maximum(roots_S, np.cbrt(_LEAST)) ** 3
        return drawn_S


def usual_steps(steps_S: np.ndarray) -> UsualSteps:
    """From three steps or more in any order and unit."""
    count = len(steps_S)
    roots_S = np.sort(np.cbrt(np.maximum(steps_S, _LEAST)))
    quantiles_S = stats.norm.ppf((np.arange(1, count + 1) - 3 / 8) / (count + 1 / 4))  # Blom 1958
    num_seen = count - count // 4
    deviation, mean = np.polyfit(quantiles_S[:num_seen], roots_S[:num_seen], 1)
    return UsualSteps(float(mean), max(float(deviation), 0.0), num_seen)
