"""The figures of a study and of one variant: learning curves, layer curves, CKA maps, pretraining,
factors."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from matplotlib.figure import Figure

from layerscope.jobs.report.comparing import Conditions, compared, spoken
from layerscope.jobs.report.conditions import (
    MAX_LEVELS,
    conditions_by_task,
    factor_label,
    level_by_label,
    shared_label,
    users_by_folder,
    variants_of,
    varied_factors,
)
from layerscope.jobs.report.drawing import curve_chart, dot_chart, scatter_chart
from layerscope.jobs.report.effects import scored_variants
from layerscope.jobs.report.layer_curves import beside_start
from layerscope.jobs.report.measure_report import MeasureReport, TaskResults
from layerscope.jobs.report.ranking import RankedCondition
from layerscope.jobs.report.series import band, bands_by_metric, series_by_metric, thinned
from layerscope.jobs.report.study import Study, VariantResult
from layerscope.jobs.report.subjects import roles_of
from layerscope.jobs.specs.measure import Measure


def study_figures(
    study: Study,
    ranking: Sequence[RankedCondition],
    measures: Mapping[str, Measure],
    reports: Mapping[str, MeasureReport],
) -> dict[str, Figure]:
    """Figures by name, as `learning/<task>/validation_accuracy/by_<factor>`; only those with data.

    Up to six conditions get a colour each; more are drawn once per factor, coloured by its value.
    """
    figures: dict[str, Figure] = {}
    order = {(ranked.task, ranked.condition): i for i, ranked in enumerate(ranking)}
    for task, conditions in conditions_by_task(study).items():
        metric = study.metric_by_task[task]
        place = {condition: order[task, condition] for condition in conditions}
        best_first = {condition: conditions[condition] for condition in sorted(place, key=place.__getitem__)}
        results = TaskResults(task, study.metric_on_layers(task), conditions, best_first)
        figures |= _factor_figures(study, task, metric)
        figures |= _learning_figures(task, metric, conditions)
        figures |= _layer_figures(task, conditions, measures)
        for report in reports.values():
            figures |= report.figures(results)
        for measure in measures.values():
            figures |= beside_start(task, conditions, measure, best=results.best)
        figures |= _start_figures(task, "pretrain", conditions, wanted=r".*loss")
        scores = f"accuracy|macro_f1|{metric}|loss"
        own = rf"multitask/(train/loss|{re.escape(task)}/validation/({scores}))"
        figures |= _start_figures(task, "multitask", conditions, wanted=own)
    return {_slug(name): figure for name, figure in figures.items()}


def variant_figures(variant: VariantResult, reports: Mapping[str, MeasureReport]) -> dict[str, Figure]:
    """Figures of one variant by name, as `cka_start`; trackers plot curves themselves."""
    figures: dict[str, Figure] = {}
    for report in reports.values():
        figures |= report.variant_figures(variant)
    return {_slug(name): figure for name, figure in figures.items()}


def _learning_figures(task: str, metric: str, conditions: Conditions) -> dict[str, Figure]:
    bands = {name: bands_by_metric(variants, "finetune") for name, variants in conditions.items()}
    figures: dict[str, Figure] = {}
    for wanted in dict.fromkeys([f"validation/{metric}", "train/loss"]):
        curves = {name: thinned(of[wanted]) for name, of in bands.items() if wanted in of}
        name = f"learning/{task}/{wanted.replace('/', '_')}"
        figures |= compared(
            name, f"{task}: {spoken(wanted)}", "optimizer step", spoken(wanted), curves, conditions
        )
    return figures


def _layer_figures(task: str, conditions: Conditions, measures: Mapping[str, Measure]) -> dict[str, Figure]:
    """Curves of measures without figures of their own, one figure per role and metric."""
    figures: dict[str, Figure] = {}
    for role in roles_of(variants_of(conditions)):
        measure = measures[role.measure]
        if not measure.draws_curves or measure.drawn:
            continue
        bands = {name: bands_by_metric(variants, str(role)) for name, variants in conditions.items()}
        for metric in dict.fromkeys(metric for of in bands.values() for metric in of):
            curves = {name: of[metric] for name, of in bands.items() if metric in of}
            section, _, rest = metric.partition("/")
            name, (title, y_label) = f"{section}/{task}/{rest.replace('/', '_')}", measure.caption(metric)
            title = f"{task}: {spoken(title)}"
            figures |= compared(name, title, measure.axis, spoken(y_label), curves, conditions)
    return figures


def _factor_figures(study: Study, task: str, metric: str) -> dict[str, Figure]:
    """The test metric by value of each factor, one dot per variant."""
    scored = scored_variants(study, task, metric)
    y_label = f"test {metric}"
    figures: dict[str, Figure] = {}
    for factor, values in varied_factors(variant for variant, _ in scored).items():
        title, name = f"{task}: test {metric} by {factor}", f"factors/{task}/{factor}"
        numbers = [variant.recipe.get(factor) for variant, _ in scored]
        points = [
            (number, score)
            for number, (_, score) in zip(numbers, scored, strict=True)
            if isinstance(number, int | float)
        ]
        if len(values) > MAX_LEVELS and len(points) == len(scored):
            figures[name] = scatter_chart(title, factor, y_label, points)
        else:
            level_of = level_by_label(values)
            scores: dict[str, list[float]] = {level: [] for level in dict.fromkeys(level_of.values())}
            for variant, score in scored:
                scores[level_of[factor_label(variant, factor)]].append(score)
            figures[name] = dot_chart(title, y_label, scores)
    return figures


def _start_figures(task: str, role: str, conditions: Conditions, *, wanted: str) -> dict[str, Figure]:
    """Each continued pretraining or joint training once, labelled by the factors and seed that its users
    share."""
    variants = [
        _as_if_from_the_end(variant)
        for of in conditions.values()
        for variant in of
        if role in variant.folders
    ]
    series = {
        shared_label(of, variants) or "continued pretraining": series_by_metric(folder, role)
        for folder, of in users_by_folder(variants, role).items()
    }
    figures: dict[str, Figure] = {}
    for metric in dict.fromkeys(
        metric for one in series.values() for metric in one if re.fullmatch(wanted, metric)
    ):
        curves = {label: [thinned(band([one[metric]]))] for label, one in series.items() if metric in one}
        shown = dict(list(curves.items())[:MAX_LEVELS])
        title = f"{task}: {spoken(metric)}"
        if len(shown) < len(curves):
            title += f" (the first {len(shown)} of {len(curves)})"
        figures[f"pretraining/{task}/{metric.removeprefix('pretrain/').replace('/', '_')}"] = curve_chart(
            title, "optimizer step", spoken(metric), shown
        )
    return figures


def _as_if_from_the_end(variant: VariantResult) -> VariantResult:
    """Snapshots `name@step` share the curve of `name`."""
    name = str(variant.recipe.get("pretraining")).partition("@")[0]
    return replace(variant, recipe={**variant.recipe, "pretraining": name})


def _slug(name: str) -> str:
    """The name as a relative path that is valid on any file system."""
    return "/".join(re.sub(r"[^\w=.-]+", "_", part).strip(".") or "_" for part in name.split("/"))
