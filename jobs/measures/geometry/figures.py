"""Figures of label geometry: clusters, distances and their change by fine-tuning, layer by layer."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure

from layerscope.jobs.artifacts.centroid_shift import LabelShift, read_label_shift
from layerscope.jobs.artifacts.centroid_trajectories import LabelPaths, read_label_paths
from layerscope.jobs.measures.geometry.specs import GEOMETRY, PATHS, SHIFT
from layerscope.jobs.report.comparing import Conditions, compared
from layerscope.jobs.report.conditions import condition_label, variants_of
from layerscope.jobs.report.drawing import path_charts, plane_charts, slope_chart
from layerscope.jobs.report.layer_curves import (
    AFTER,
    along_training,
    baselines,
    figure_name,
    role_by_moment,
    tuned_curves,
)
from layerscope.jobs.report.series import Band, mean_band
from layerscope.jobs.report.study import VariantResult
from layerscope.jobs.report.subjects import spoken_subject, subjects_of
from layerscope.jobs.specs.measure import LAYER, Measure
from layerscope.jobs.specs.roles import Role

NUM_MOST, NUM_LEAST = 3, 3
"""Labels drawn by change of distance: those with the largest and the smallest increase."""
MAX_PANELS = 6
"""Layers whose shifts are drawn: every other layer, from the last down."""
NUM_TOLD = 6
"""Labels highlighted among the shifts: those farthest from the origin in the last layer."""


def geometry_figures(task: str, conditions: Conditions, *, best: str) -> dict[str, Figure]:
    """Figures by name, as `geometry/<task>/<probing task>_clusters`.

    Args:
        best: The condition whose single labels are drawn.
    """
    figures: dict[str, Figure] = {}
    for subject in subjects_of(variants_of(conditions), GEOMETRY):
        figures |= _clusters(task, subject, conditions)
        figures |= _distances(task, subject, conditions)
        figures |= _correlation(
            task, subject, conditions, GEOMETRY, "test_pearson", "label distances in train and test"
        )
    for subject in subjects_of(variants_of(conditions), SHIFT):
        figures |= _correlation(
            task, subject, conditions, SHIFT, "pearson", "label distances before and after fine-tuning"
        )
        figures |= _movement(task, subject, conditions)
        figures |= along_training(
            figure_name("geometry", task, subject, "pearson_along"),
            f"{spoken_subject(task, subject)} ({condition_label(best)}): correlation of label distances with "
            "those before fine-tuning",
            conditions[best],
            SHIFT,
            subject,
            "pearson",
        )
    of_labels = label_figures(task, conditions[best], title=condition_label(best))
    return figures | {f"geometry/{task}/{name}": figure for name, figure in of_labels.items()}


def label_figures(task: str, variants: Sequence[VariantResult], *, title: str = "") -> dict[str, Figure]:
    """Figures of single labels of one condition by name: `<probing task>_nearest`, `..._plane` and, with
    checkpoints, `..._paths`."""
    figures: dict[str, Figure] = {}
    done = [variant for variant in variants if variant.state == "done"]
    for subject in subjects_of(done, SHIFT):
        of = spoken_subject(task, subject) + (f" ({title})" if title else "")
        prefix, paths = f"{subject}_" if subject else "", str(Role("paths", subject))
        shifts_by_moment = _shifts_by_moment(done, subject)
        if nearest := _nearest(shifts_by_moment):
            figures[f"{prefix}nearest"] = slope_chart(
                f"{of}: distance to the nearest other label in the last layer, labels with the largest and "
                "smallest increase",
                "distance",
                ["before", *shifts_by_moment],
                nearest,
            )
        # Planes of different seeds are not comparable.
        figures[f"{prefix}plane"] = _plane(of, shifts_by_moment[AFTER][0])
        followed = [variant.folders[paths] for variant in done if paths in variant.folders]
        if followed:
            figures[f"{prefix}paths"] = _paths(of, read_label_paths(followed[0]))
    return figures


def _clusters(task: str, subject: str, conditions: Conditions) -> dict[str, Figure]:
    references = baselines(conditions, GEOMETRY, subject, "clusters")
    for label, metric in (("permuted labels", "permuted_clusters"), ("labels", "labels")):
        mean = mean_band(list(tuned_curves(conditions, GEOMETRY, subject, metric).values()))
        references |= {} if mean is None else {label: mean}
    return compared(
        figure_name("geometry", task, subject, "clusters"),
        f"{spoken_subject(task, subject)}: linearly separable clusters",
        LAYER,
        "clusters",
        tuned_curves(conditions, GEOMETRY, subject, "clusters"),
        conditions,
        references=references,
    )


def _distances(task: str, subject: str, conditions: Conditions) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    for name, words in (("min_distance", "smallest"), ("mean_distance", "mean")):
        metrics = [f"{name}_{end}" for end in ("lower", "upper")]
        lower, upper = (tuned_curves(conditions, GEOMETRY, subject, metric) for metric in metrics)
        starts = [baselines(conditions, GEOMETRY, subject, metric) for metric in metrics]
        figures |= compared(
            figure_name("geometry", task, subject, name),
            f"{spoken_subject(task, subject)}: {words} distance between labels",
            LAYER,
            "distance",
            {condition: _between(lower[condition], upper[condition]) for condition in lower},
            conditions,
            references={label: _between(*(of[label] for of in starts)) for label in starts[0]},
        )
    return figures


def _between(lower: Band, upper: Band) -> Band:
    """The midpoint of the bounds, and a band over the bounds of all seeds."""
    return replace(lower, mean=(lower.mean + upper.mean) / 2, high=upper.high)


def _correlation(
    task: str, subject: str, conditions: Conditions, measure: Measure, metric: str, words: str
) -> dict[str, Figure]:
    """Bands are the bootstrap bounds averaged over seeds, if every layer has them."""
    curves, lows, highs = (
        tuned_curves(conditions, measure, subject, f"{metric}{end}") for end in ("", "_low", "_high")
    )
    bounded = {
        name: replace(curve, low=lows[name].mean, high=highs[name].mean)
        if name in lows and len(lows[name].steps) == len(curve.steps)
        else curve
        for name, curve in curves.items()
    }
    return compared(
        figure_name("geometry", task, subject, metric),
        f"{spoken_subject(task, subject)}: correlation of {words}",
        LAYER,
        "Pearson correlation",
        bounded,
        conditions,
        references=baselines(conditions, measure, subject, metric),
    )


def _movement(task: str, subject: str, conditions: Conditions) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    for measure, metric, words in (
        (SHIFT, "centroid_shift", "mean shift of the label centroids"),
        (SHIFT, "mean_change", "mean change of the distance to the nearest other label"),
        (PATHS, "path_length", "mean length of a label centroid's trajectory"),
    ):
        figures |= compared(
            figure_name("geometry", task, subject, metric),
            f"{spoken_subject(task, subject)}: {words}",
            LAYER,
            metric.replace("_", " "),
            tuned_curves(conditions, measure, subject, metric),
            conditions,
        )
    return figures


def _shifts_by_moment(done: Sequence[VariantResult], subject: str) -> dict[str, list[LabelShift]]:
    """The shifts of the seeds at common checkpoints and at the end."""
    roles = role_by_moment(done, SHIFT, subject)
    measured = [variant for variant in done if roles[AFTER] in variant.folders]
    return {
        said: [read_label_shift(variant.folders[role]) for variant in measured]
        for said, role in roles.items()
        if all(role in variant.folders for variant in measured)
    }


def _nearest(shifts_by_moment: Mapping[str, Sequence[LabelShift]]) -> dict[str, Sequence[float]]:
    """Distance before and at each checkpoint, mean over seeds, of the labels with largest and smallest
    increase."""
    at_moments = [[shift.nearest_after_LC[-1] for shift in shifts] for shifts in shifts_by_moment.values()]
    before = [shift.nearest_before_LC[-1] for shift in shifts_by_moment[AFTER]]
    value_MC = np.array([np.mean(seeds, axis=0) for seeds in (before, *at_moments)])
    change_C = value_MC[-1] - value_MC[0]
    order = [int(label) for label in np.argsort(-change_C, kind="stable") if np.isfinite(change_C[label])]
    chosen = order if len(order) <= NUM_MOST + NUM_LEAST else order[:NUM_MOST] + order[-NUM_LEAST:]
    labels = shifts_by_moment[AFTER][0].labels
    return {labels[label]: value_MC[:, label].tolist() for label in chosen}


def _plane(of: str, shift: LabelShift) -> Figure:
    last = len(shift.norm_LC) - 1
    layers = sorted(range(last, -1, -2)[:MAX_PANELS])
    distance_C = np.linalg.norm(shift.plane_LC2[last], axis=1)
    known = np.flatnonzero(np.isfinite(distance_C))
    farthest = known[np.argsort(-distance_C[known], kind="stable")][:NUM_TOLD]
    return plane_charts(
        f"{of}: centroid shift by label, mean shift subtracted, on two principal components (first seed)",
        {f"layer {layer}: {_share(shift.plane_share_L[layer])}": shift.plane_LC2[layer] for layer in layers},
        shift.labels,
        farthest.tolist(),
    )


def _paths(of: str, paths: LabelPaths) -> Figure:
    last = len(paths.share_L) - 1
    layers = sorted({min(1, last), last})
    return path_charts(
        f"{of}: centroid trajectories of the labels that end up closest to each other, on two principal "
        "components (first seed)",
        {f"layer {layer}: {_share(paths.share_L[layer])}": paths.position_LTC2[layer] for layer in layers},
        paths.labels,
    )


def _share(share: float) -> str:
    return "no variance" if np.isnan(share) else f"{100 * share:.0f} % of variance"
