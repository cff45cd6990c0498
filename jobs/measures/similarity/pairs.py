"""Figures of pairs of fine-tuned models: two seeds, two conditions or two tasks.

The roles are `between/seeds/<seed>`, `between/conditions/<condition>` and `between/tasks/<texts>/<task>`;
they belong to the first model of a pair and name the second.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from layerscope.jobs.measures.similarity.maps import MAX_MAPS, mean_map
from layerscope.jobs.measures.similarity.specs import BETWEEN
from layerscope.jobs.report.comparing import Conditions
from layerscope.jobs.report.conditions import MAX_LEVELS, condition_label
from layerscope.jobs.report.drawing import curve_chart, heat_maps
from layerscope.jobs.report.series import Band, band, series_by_metric
from layerscope.jobs.report.study import VariantResult
from layerscope.jobs.specs.measure import LAYER
from layerscope.jobs.specs.roles import Role

AXES = {
    "seeds": ("layer, second seed", "layer, first seed"),
    "conditions": ("layer, second condition", "layer, first condition"),
    "tasks": ("layer, second task", "layer, first task"),
}


@dataclass(frozen=True)
class _Pair:
    variant: VariantResult
    role: str


def between_figures(task: str, conditions: Conditions) -> dict[str, Figure]:
    """Figures by name: a map per pair of models under `maps/<task>/between_<kind>`, and the similarity of
    equal layers under `between/<task>/<kind>`; means over seeds, or over pairs of seeds."""
    figures = {}
    for kind, pairs_by_label in _by_kind(conditions).items():
        what, _, texts = kind.partition("/")
        title = f"{task}: CKA of layers between {what}" + (f", on {texts}" if texts else "")
        means = {label: _mean_of(pairs) for label, pairs in pairs_by_label.items()}
        maps = {label: values for label, values in means.items() if values is not None}
        if not maps:
            continue
        shown = dict(list(maps.items())[:MAX_MAPS])
        name = kind.replace("/", "_")
        figures[f"maps/{task}/between_{name}"] = heat_maps(title + _told(shown, maps), *AXES[what], shown)
        curves = {label: [_curve(pairs_by_label[label])] for label in list(maps)[:MAX_LEVELS]}
        figures[f"between/{task}/{name}"] = curve_chart(
            f"{title}, same layer{_told(curves, maps)}", LAYER, "CKA", curves
        )
    return figures


def _told(shown: Mapping[str, object], found: Mapping[str, object]) -> str:
    return f" (the first {len(shown)} of {len(found)})" if len(shown) < len(found) else ""


def _by_kind(conditions: Conditions) -> dict[str, dict[str, list[_Pair]]]:
    """The pairs of each kind (for tasks, each with its texts) by panel label."""
    found: dict[str, dict[str, list[_Pair]]] = {}
    for variants in conditions.values():
        for variant in variants:
            for role in variant.folders:
                if variant.state == "done" and Role.parse(role).measure == BETWEEN.name:
                    kind, label = _kind_and_label(variant, role, several=len(conditions) > 1)
                    found.setdefault(kind, {}).setdefault(label, []).append(_Pair(variant, role))
    return found


def _kind_and_label(variant: VariantResult, role: str, *, several: bool) -> tuple[str, str]:
    kind, _, other = role.removeprefix(f"{BETWEEN.name}/").partition("/")
    label = condition_label(variant.condition)
    match kind:
        case "conditions":
            return kind, f"{label} / {condition_label(other)}"
        case "tasks":
            texts, _, task = other.partition("/")
            return f"{kind}/{texts}", f"{variant.task} / {task}" + (f", {label}" if several else "")
        case _:
            return kind, label


def _mean_of(pairs: Sequence[_Pair]) -> np.ndarray | None:
    found = [mean_map([pair.variant], pair.role) for pair in pairs]
    maps = [values for values in found if values is not None]
    return np.mean(maps, axis=0) if maps else None


def _curve(pairs: Sequence[_Pair]) -> Band:
    series = [series_by_metric(pair.variant.folders[pair.role], pair.role) for pair in pairs]
    BETWEEN.curve("same_layer")
    names = [f"{pair.role}/same_layer" for pair in pairs]
    return band([one.get(name, {}) for one, name in zip(series, names, strict=True)])
