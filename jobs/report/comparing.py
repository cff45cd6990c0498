"""Curves of conditions in one chart, coloured by condition or by factor."""

import re
from collections.abc import Mapping

from matplotlib.figure import Figure

from layerscope.jobs.report.conditions import (
    MAX_LEVELS,
    condition_label,
    factor_label,
    level_by_label,
    variants_of,
    varied_factors,
)
from layerscope.jobs.report.drawing import curve_chart
from layerscope.jobs.report.series import Band
from layerscope.jobs.report.study import VariantResult

Conditions = Mapping[str, tuple[VariantResult, ...]]
"""The variants of each condition of one task, by name."""


def compared(
    name: str,
    title: str,
    x_label: str,
    y_label: str,
    curves: Mapping[str, Band],
    conditions: Conditions,
    *,
    references: Mapping[str, Band] | None = None,
) -> dict[str, Figure]:
    """One figure with a colour per condition or, with more than six conditions, one per factor; by name.

    Args:
        references: Reference curves, drawn in ink in every figure.
    """
    if not curves:
        return {}
    if len(conditions) <= MAX_LEVELS:
        by_label = {
            condition_label(condition) + (f" ({curve.trouble})" if curve.trouble else ""): [curve]
            for condition, curve in curves.items()
        }
        return {name: curve_chart(title, x_label, y_label, by_label, references)}
    figures = {}
    for factor, level_of in _levels_by_factor(conditions).items():
        by_level: dict[str, list[Band]] = {level: [] for level in dict.fromkeys(level_of.values())}
        for condition, curve in curves.items():
            by_level[level_of[factor_label(conditions[condition][0], factor)]].append(curve)
        shown = {level: bands for level, bands in by_level.items() if bands}
        figures[f"{name}/by_{factor}"] = curve_chart(
            f"{title}, by {factor}", x_label, y_label, shown, references
        )
    return figures


def _levels_by_factor(conditions: Conditions) -> dict[str, dict[str, str]]:
    factors = varied_factors(variants_of(conditions))
    return {factor: level_by_label(values) for factor, values in factors.items()}


def spoken(metric: str) -> str:
    """`validation/macro_f1` as "validation macro F1"."""
    return re.sub(r"\b(f1|mlm)\b", lambda found: found[0].upper(), metric.replace("/", " ").replace("_", " "))
