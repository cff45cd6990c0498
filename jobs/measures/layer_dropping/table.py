"""Removable layers with the fine-tuned and with a refitted head: one chart and a table."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from layerscope.jobs.measures.layer_dropping.specs import DEPTH, REFITTED_HEAD, TUNED_HEAD
from layerscope.jobs.report.comparing import Conditions, spoken
from layerscope.jobs.report.conditions import MAX_LEVELS, condition_label, conditions_by_task
from layerscope.jobs.report.drawing import curve_chart
from layerscope.jobs.report.series import Band, bands_by_metric
from layerscope.jobs.report.study import Study, VariantResult
from layerscope.jobs.specs.roles import Role

HEADS = {TUNED_HEAD: "tuned head", REFITTED_HEAD: "refitted head"}
TOLERANCE = 0.005
"""Of the task's metric: half a point."""


@dataclass(frozen=True)
class DropRow:
    """Removable layers of a condition with one kind of head; means over seeds."""

    task: str
    condition: str
    metric: str
    """The task's metric."""
    head: str
    full: float
    """Score of the full model with its fine-tuned head."""
    num_layers: int
    kept: int | None
    """The smallest number of layers within the tolerance; None if all lose more."""
    score: float
    """Score with these layers; NaN if None."""

    @property
    def cost(self) -> float:
        """Loss of score; negative for a gain."""
        return self.full - self.score


def head_figures(task: str, metric: str, conditions: Conditions) -> dict[str, Figure]:
    """Both curves per condition; with many conditions, thin lines and the mean of each head."""
    curves: dict[str, dict[str, Band]] = {}
    for condition, variants in conditions.items():
        measured = {head: _curve(variants, role, metric) for role, head in HEADS.items()}
        found = {head: curve for head, curve in measured.items() if curve is not None}
        if len(found) == len(measured):
            curves[condition_label(condition)] = found
    if not curves:
        return {}
    if len(curves) * len(HEADS) <= MAX_LEVELS:
        shown = {f"{name}, {head}": [curve] for name, of in curves.items() for head, curve in of.items()}
    else:
        shown = {head: [of[head] for of in curves.values()] for head in HEADS.values()}
    title = f"{task}: {spoken(metric)} by number of layers kept, fine-tuned and refitted head"
    return {f"depth/{task}/both_heads": curve_chart(title, DEPTH.axis, spoken(metric), shown)}


def drop_rows(study: Study) -> list[DropRow]:
    """One row per finished condition and head with the task's metric by number of layers kept."""
    rows = []
    for task, conditions in conditions_by_task(study).items():
        metric = study.metric_on_layers(task)
        for condition, variants in conditions.items():
            done = [variant for variant in variants if variant.state == "done"]
            curves = {role: _curve(done, role, metric) for role in HEADS}
            tuned = curves[TUNED_HEAD]
            if tuned is None:
                continue
            full = float(tuned.mean[-1])
            rows += [
                _row(task, condition_label(condition), metric, HEADS[role], curve, full)
                for role, curve in curves.items()
                if curve is not None
            ]
    return rows


def _row(task: str, condition: str, metric: str, head: str, curve: Band, full: float) -> DropRow:
    # Tolerates rounding of the subtraction.
    enough = np.flatnonzero(curve.mean >= full - TOLERANCE - 1e-9)
    kept = int(curve.steps[enough[0]]) if len(enough) else None
    return DropRow(
        task=task,
        condition=condition,
        metric=metric,
        head=head,
        full=full,
        num_layers=int(curve.steps[-1]),
        kept=kept,
        score=float(curve.mean[enough[0]]) if len(enough) else float("nan"),
    )


def _curve(variants: Sequence[VariantResult], role: Role, metric: str) -> Band | None:
    """None if not measured."""
    DEPTH.curve(metric)
    return bands_by_metric(variants, str(role)).get(f"{role}/{metric}")
