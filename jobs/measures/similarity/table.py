"""Values of each similarity measure by layer: curves with intervals, and a table with chance levels and the
reasons for undefined values."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from layerscope.jobs.artifacts.maps import read_undefined
from layerscope.jobs.measures.similarity.maps import MEASURES, PAIRS, measure_and_pair
from layerscope.jobs.measures.similarity.specs import SIMILARITY
from layerscope.jobs.report.comparing import Conditions
from layerscope.jobs.report.conditions import MAX_LEVELS, condition_label, conditions_by_task, variants_of
from layerscope.jobs.report.drawing import curve_chart
from layerscope.jobs.report.series import Band, bands_by_metric
from layerscope.jobs.report.study import Study, VariantResult
from layerscope.jobs.specs.measure import LAYER
from layerscope.jobs.specs.roles import Role

INTERVAL_ENDS = ("/low", "/high")
"""Suffixes of curves that bound another one."""
CURVES = ("same_layer", "next_layer")
SHARES = {"largest_row": "variance share, top example", "top_percent": "variance share, top 1 % of examples"}


@dataclass(frozen=True)
class SimilarityRow:
    """One measure of one condition, layer by layer."""

    condition: str
    measure: str
    cells: tuple[str, ...]
    """A value with its interval or chance level, `undefined`, or – if there is no such layer."""


@dataclass(frozen=True)
class SimilarityTable:
    """The measures of one task for one pair of models."""

    task: str
    pair: str
    """In words."""
    compares: str
    """Which layers a column compares."""
    layers: tuple[int, ...]
    rows: tuple[SimilarityRow, ...]
    reasons: tuple[str, ...]
    """Why cells are undefined."""


def similarity_figures(task: str, conditions: Conditions) -> dict[str, Figure]:
    """One figure per measure and pair of models: the best conditions, with bands from the mean of the
    intervals of their seeds if there are intervals, and else from the range over seeds."""
    figures = {}
    for role in _roles(variants_of(conditions)):
        for curve in (*CURVES, *SHARES):
            found = {
                name: bands_by_metric(of, role).get(f"{role}/{curve}") for name, of in conditions.items()
            }
            bands = {name: one for name, one in found.items() if one is not None}
            if not bands:
                continue
            intervals = {name: _with_interval(conditions[name], role, curve) for name in bands}
            bounded = {name: one for name, one in intervals.items() if one is not None}
            has_intervals = len(bounded) == len(bands)
            shown = {
                condition_label(name): [bounded[name] if has_intervals else bands[name]]
                for name in list(bands)[:MAX_LEVELS]
            }
            measure, pair = measure_and_pair(role)
            title = f"{task}: {MEASURES[measure]}, {PAIRS[pair][0]}"
            if has_intervals:
                title += ", 95 % intervals over examples"
            if len(shown) < len(bands):
                title += f" (the {len(shown)} best of {len(bands)} conditions)"
            y_label = SHARES.get(curve, curve.replace("_", " "))
            figures[f"similarity/{task}/{measure}_{pair}_{curve}"] = curve_chart(title, LAYER, y_label, shown)
    return figures


def similarity_tables(study: Study) -> list[SimilarityTable]:
    """One table per task and pair of models, in the order of the experiment."""
    tables = []
    for task, conditions in conditions_by_task(study).items():
        done = {
            name: tuple(variant for variant in variants if variant.state == "done")
            for name, variants in conditions.items()
        }
        roles = _roles(variant for variants in done.values() for variant in variants)
        for pair in dict.fromkeys(measure_and_pair(role)[1] for role in roles):
            of_pair = [role for role in roles if measure_and_pair(role)[1] == pair]
            tables.append(_table(task, pair, of_pair, done))
    return tables


def _roles(variants: Iterable[VariantResult]) -> list[str]:
    roles = dict.fromkeys(role for variant in variants for role in variant.folders)
    return [role for role in roles if Role.parse(role).measure == SIMILARITY.name]


def _with_interval(variants: Sequence[VariantResult], role: str, curve: str) -> Band | None:
    bands = bands_by_metric(variants, role)
    low, high = (bands.get(f"{role}/{curve}{end}") for end in INTERVAL_ENDS)
    if low is None or high is None:
        return None
    value = bands[f"{role}/{curve}"]
    return Band(value.steps, value.mean, low.mean, high.mean, value.is_finished)


def _table(task: str, pair: str, roles: Sequence[str], conditions: Conditions) -> SimilarityTable:
    rows: list[SimilarityRow] = []
    reasons: dict[str, dict[str, None]] = {}
    """Reasons for undefined values, and the measures concerned."""
    for condition, variants in conditions.items():
        for role in roles:
            with_role = [variant for variant in variants if role in variant.folders]
            undefined = {
                layer: reason
                for variant in with_role
                for layer, reason in read_undefined(variant.folders[role]).items()
            }
            measure = MEASURES[measure_and_pair(role)[0]]
            for reason in undefined.values():
                reasons.setdefault(reason, {})[measure] = None
            lacking = {int(layer.split()[1]) for layer in undefined}
            rows += _rows(condition_label(condition), measure, role, with_role, lacking)
    return SimilarityTable(
        task=task,
        pair=PAIRS[pair][0],
        compares="each layer with the next one" if pair == "within" else "the same layer of both models",
        layers=tuple(range(max((len(row.cells) for row in rows), default=0))),
        rows=tuple(rows),
        reasons=tuple(f"{reason} ({', '.join(measures)})" for reason, measures in reasons.items()),
    )


def _rows(
    condition: str, measure: str, role: str, variants: Sequence[VariantResult], lacking: set[int]
) -> list[SimilarityRow]:
    bands = {name.removeprefix(f"{role}/"): found for name, found in bands_by_metric(variants, role).items()}
    rows = []
    for curve in (*CURVES, *SHARES):
        if curve in bands:
            name = f"{measure}: {SHARES[curve]}" if curve in SHARES else measure
            rows.append(SimilarityRow(condition, name, _cells(bands, curve, lacking)))
    return rows


def _cells(bands: Mapping[str, Band], curve: str, lacking: set[int]) -> tuple[str, ...]:
    names = (curve, f"{curve}/low", f"{curve}/high", "floor" if curve in CURVES else "")
    values, low, high, floors = (_by_step(bands.get(name)) for name in names)
    # An undefined layer also has no similarity with the layer below it.
    undefined = lacking | {layer - 1 for layer in lacking if curve == "next_layer"}
    cells = []
    for layer in range(max(values, default=-1) + 1):
        if layer not in values:
            cells.append("undefined" if layer in undefined else "–")
            continue
        cell = f"{values[layer]:.3f}"
        if layer in low:
            cell += f" ({low[layer]:.3f} to {high[layer]:.3f})"
        if layer in floors:
            cell += f" (chance {floors[layer]:.3f})"
        cells.append(cell)
    return tuple(cells)


def _by_step(curve: Band | None) -> dict[int, float]:
    if curve is None:
        return {}
    pairs = zip(curve.steps.tolist(), curve.mean.tolist(), strict=True)
    return {step: mean for step, mean in pairs if np.isfinite(mean)}
