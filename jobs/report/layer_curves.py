"""Curves over layers of the fine-tuned models, with those of the base models as reference."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from layerscope.jobs.report.comparing import Conditions, compared
from layerscope.jobs.report.conditions import MAX_LEVELS, condition_label, variants_of
from layerscope.jobs.report.drawing import curve_chart
from layerscope.jobs.report.series import Band, bands_by_metric
from layerscope.jobs.report.study import VariantResult
from layerscope.jobs.report.subjects import (
    baseline_band,
    checkpoints_of,
    spoken_checkpoint,
    spoken_subject,
    subjects_of,
)
from layerscope.jobs.specs.measure import Measure
from layerscope.jobs.specs.roles import RANDOM, START, Role

AFTER = "after"
"""Label of the end of training among the checkpoints."""
LABEL_BY_BASELINE = {START: "before fine-tuning", RANDOM: "random init"}


def tuned_curves(conditions: Conditions, measure: Measure, subject: str, metric: str) -> dict[str, Band]:
    """The band of each condition that has finite values of the metric.

    Raises ValueError if the measure has no such metric.
    """
    measure.curve(metric)
    role = str(Role(measure.name, subject))
    name_of_curve = f"{role}/{metric}"
    bands = {name: bands_by_metric(variants, role) for name, variants in conditions.items()}
    return {name: of[name_of_curve] for name, of in bands.items() if name_of_curve in of}


def baselines(conditions: Conditions, measure: Measure, subject: str, metric: str) -> dict[str, Band]:
    """Existing curves of the base models and of randomly initialised encoders, by label."""
    found = {
        label: baseline_band(variants_of(conditions), measure, Role(measure.name, subject, baseline), metric)
        for baseline, label in LABEL_BY_BASELINE.items()
    }
    return {label: curve for label, curve in found.items() if curve is not None}


def beside_start(task: str, conditions: Conditions, measure: Measure, *, best: str) -> dict[str, Figure]:
    """Figures of the curves that have a description, by name: `<measure>/<task>/<probing task>_<metric>`.

    If measured at checkpoints, also one condition over training.

    Args:
        best: The condition that is drawn over training.
    """
    figures: dict[str, Figure] = {}
    for subject in subjects_of(variants_of(conditions), measure):
        for metric, words in measure.drawn.items():
            figures |= compared(
                figure_name(measure.name, task, subject, metric),
                f"{spoken_subject(task, subject)}: {words}",
                measure.axis,
                metric.replace("_", " "),
                tuned_curves(conditions, measure, subject, metric),
                conditions,
                references=baselines(conditions, measure, subject, metric),
            )
            name = figure_name(measure.name, task, subject, f"{metric}_along")
            title = f"{spoken_subject(task, subject)} ({condition_label(best)}): {words}"
            figures |= along_training(name, title, conditions[best], measure, subject, metric)
    return figures


def along_training(
    name: str, title: str, variants: Sequence[VariantResult], measure: Measure, subject: str, metric: str
) -> dict[str, Figure]:
    """One figure: a curve over the layers for up to six checkpoints of one condition, the end included.

    Empty if it was not measured at checkpoints.
    """
    roles = role_by_moment(variants, measure, subject)
    if len(roles) < 2:
        return {}
    measure.curve(metric)
    moments, curves = list(roles), {}
    for place in np.unique(np.linspace(0, len(moments) - 1, MAX_LEVELS).round().astype(int)):
        role = roles[moments[place]]
        found = bands_by_metric(variants, role)
        if f"{role}/{metric}" in found:
            curves[moments[place]] = [found[f"{role}/{metric}"]]
    if not curves:
        return {}
    return {name: curve_chart(f"{title}, over training", measure.axis, metric.replace("_", " "), curves)}


def role_by_moment(variants: Sequence[VariantResult], measure: Measure, subject: str) -> dict[str, str]:
    """The roles of a measure by checkpoint label, the end of training last."""
    names = {spoken_checkpoint(name): name for name in checkpoints_of(variants, measure, subject)}
    return {said: str(Role(measure.name, subject, name)) for said, name in (names | {AFTER: ""}).items()}


def figure_name(section: str, task: str, subject: str, what: str) -> str:
    """The name of a figure for a task's own labels or those of a probing task."""
    return f"{section}/{task}/{subject}_{what}" if subject else f"{section}/{task}/{what}"
