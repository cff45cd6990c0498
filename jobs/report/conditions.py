"""The conditions of a study: which variants form each, and the factors by which they differ."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import quantiles

from layerscope.jobs.report.study import Study, VariantResult

MAX_LEVELS = 6
"""Values of a factor in one figure: as many as distinguishable colours."""


def conditions_by_task(study: Study) -> dict[str, dict[str, tuple[VariantResult, ...]]]:
    """Variants by task and condition, both in the order of the experiment."""
    grouped: dict[str, dict[str, tuple[VariantResult, ...]]] = {}
    for variant in study.variants:
        conditions = grouped.setdefault(variant.task, {})
        conditions[variant.condition] = (*conditions.get(variant.condition, ()), variant)
    return grouped


def variants_of(conditions: Mapping[str, Sequence[VariantResult]]) -> list[VariantResult]:
    """All variants of all conditions."""
    return [variant for variants in conditions.values() for variant in variants]


def finished_conditions(study: Study) -> list[tuple[str, str, list[VariantResult]]]:
    """Task, condition and its done variants, of every condition in the order of the experiment."""
    return [
        (task, condition, [variant for variant in variants if variant.state == "done"])
        for task, conditions in conditions_by_task(study).items()
        for condition, variants in conditions.items()
    ]


def varied_factors(variants: Iterable[VariantResult]) -> dict[str, tuple[str, ...]]:
    """Labels of each factor's values, if there are several; numbers ascend, words keep their order.

    A factor that is not part of the condition's name is determined by others, as `head_tokens` by the
    truncation.
    """
    values_by_factor: dict[str, dict[str, object]] = {}
    for variant in variants:
        named = {part.partition("=")[0] for part in variant.condition.split()}
        for factor, value in variant.recipe.items():
            if factor not in named:
                continue
            values_by_factor.setdefault(factor, {})[value_label(value)] = value
    return {factor: _in_order(values) for factor, values in values_by_factor.items() if len(values) > 1}


def value_label(value: object) -> str:
    """A factor's value as written in the experiment file."""
    match value:
        case str():
            return value
        case None:
            return "none"
        case bool() | list() | tuple() | dict():
            return json.dumps(value, default=str, separators=(",", ":"))
        case float():
            return str(value) if len(str(value)) <= 8 else f"{value:.6g}"
        case _:
            return str(value)


def factor_label(variant: VariantResult, factor: str) -> str:
    """The variant's value of a factor; "none" if its recipe lacks it."""
    return value_label(variant.recipe.get(factor))


def condition_label(condition: str) -> str:
    """The condition's name; "single recipe" if nothing varies."""
    return condition or "single recipe"


def users_by_folder(variants: Iterable[VariantResult], role: str) -> dict[Path, list[VariantResult]]:
    """The variants that share each artifact of a role, by its folder."""
    users: dict[Path, list[VariantResult]] = {}
    for variant in variants:
        if role in variant.folders:
            users.setdefault(variant.folders[role], []).append(variant)
    return users


def shared_label(users: Sequence[VariantResult], variants: Sequence[VariantResult]) -> str:
    """The factors and the seed that the users of one artifact share and that vary among all variants;
    empty if there are none."""
    inner = varied_factors(users)
    shared = [
        f"{name}={factor_label(users[0], name)}" for name in varied_factors(variants) if name not in inner
    ]
    seeds = {user.seed for user in users}
    if len(seeds) == 1 and len({variant.seed for variant in variants}) > 1:
        shared.append(f"seed={users[0].seed}")
    return " ".join(shared)


def level_by_label(labels: Sequence[str]) -> dict[str, str]:
    """At most six levels for the values of a factor: thirds of many numbers, "other" for many words."""
    if len(labels) <= MAX_LEVELS:
        return {label: label for label in labels}
    numbers = _numbers(labels)
    if numbers is None:
        return {label: label if i < MAX_LEVELS - 1 else "other" for i, label in enumerate(labels)}
    cuts = quantiles(numbers, n=3)
    third = [sum(number > cut for cut in cuts) for number in numbers]
    ends = {part: [label for label, t in zip(labels, third, strict=True) if t == part] for part in set(third)}
    return {label: f"{ends[t][0]} to {ends[t][-1]}" for label, t in zip(labels, third, strict=True)}


def _in_order(values: Mapping[str, object]) -> tuple[str, ...]:
    """By size where all are numbers."""
    numbers = {
        label: value
        for label, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    return tuple(sorted(numbers, key=numbers.__getitem__) if len(numbers) == len(values) else values)


def _numbers(labels: Sequence[str]) -> list[float] | None:
    try:
        return [float(label) for label in labels]
    except ValueError:
        return None
