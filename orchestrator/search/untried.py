"""Conditions of a space in an order that a seed decides: for when a sampler proposes nothing new."""

import math
import random
from collections.abc import Iterator, Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

MOST_DRAWS = 2000
"""Combinations of one space that are looked at: each is planned, which takes milliseconds."""
_LONGEST_RANGE = 2**62
"""Python counts no further in a range."""


def num_combinations(space: Mapping[str, BaseDistribution]) -> int | None:
    """How many combinations of factors there are; None where a factor is continuous."""
    if any(isinstance(one, FloatDistribution) for one in space.values()):
        return None
    return math.prod(_num_values(one) for one in space.values())


def combinations(space: Mapping[str, BaseDistribution], *, seed: str) -> Iterator[dict[str, Any]]:
    """Combinations of choices and whole numbers, each once, with freshly sampled continuous values.

    All of them up to `MOST_DRAWS`, else a random sample of that size.
    """
    drawn = random.Random(seed)
    total = min(math.prod(_num_values(one) for one in space.values()), _LONGEST_RANGE)
    for number in drawn.sample(range(total), min(total, MOST_DRAWS)):
        factors = {}
        for name, distribution in space.items():
            number, place = divmod(number, _num_values(distribution))
            factors[name] = _value(distribution, place, drawn)
        yield factors


def _num_values(distribution: BaseDistribution) -> int:
    match distribution:
        case CategoricalDistribution():
            return len(distribution.choices)
        case IntDistribution():
            return distribution.high - distribution.low + 1
        case _:
            return 1


def _value(distribution: BaseDistribution, place: int, drawn: random.Random) -> Any:
    match distribution:
        case CategoricalDistribution():
            return distribution.choices[place]
        case IntDistribution():
            return distribution.low + place
        case FloatDistribution(low=low, high=high, log=True):
            return min(max(math.exp(drawn.uniform(math.log(low), math.log(high))), low), high)
        case FloatDistribution(low=low, high=high):
            return drawn.uniform(low, high)
        case _:
            raise TypeError(f"{distribution} is none of a search's")
