"""The figures of a study and of one variant: learning, layers, depth, CKA maps, pretraining and factors."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from matplotlib.figure import Figure

from layerscope.jobs.reporting.between import between_figures
from layerscope.jobs.reporting.comparing import Conditions, compared, layer_axis, spoken
from layerscope.jobs.reporting.conditions import (
    MAX_LEVELS,
    conditions_by_task,
    factor_label,
    level_by_label,
    shared_label,
    users_by_folder,
    variants_of,
    varied_factors,
)
from layerscope.jobs.reporting.depth import head_figures
from layerscope.jobs.reporting.drawing import curve_chart, dot_chart, scatter_chart
from layerscope.jobs.reporting.effects import scored_variants
from layerscope.jobs.reporting.geometry_figures import OWN_FIGURES, geometry_figures, label_figures
from layerscope.jobs.reporting.layer_curves import WORDS_BY_METRIC, beside_start
from layerscope.jobs.reporting.maps import map_figures, variant_map_figures
from layerscope.jobs.reporting.ranking import RankedCondition, rank_conditions
from layerscope.jobs.reporting.series import band, bands_by_metric, series_by_metric, thinned
from layerscope.jobs.reporting.similarity import SIMILARITY, similarity_figures
from layerscope.jobs.reporting.study import NOT_MEASURES, Study, VariantResult
from layerscope.jobs.reporting.subjects import measure_of
from layerscope.jobs.specs.roles import BETWEEN


def study_figures(study: Study, *, ranking: Sequence[RankedCondition] | None = None) -> dict[str, Figure]:
    """Figures by name, as `learning/<task>/validation_accuracy/by_<factor>`; only those that have data.

    Up to six conditions are drawn one by one; more are drawn once for each factor, coloured by its value.

    Args:
        ranking: That of `rank_conditions` where the conditions are ranked already.
    """
    figures: dict[str, Figure] = {}
    ranking = rank_conditions(study) if ranking is None else ranking
    order = {(ranked.task, ranked.condition): i for i, ranked in enumerate(ranking)}
    for task, conditions in conditions_by_task(study).items():
        metric = study.metric_by_task[task]
        figures |= _factor_figures(study, task, metric)
        figures |= _learning_figures(task, metric, conditions)
        figures |= _layer_figures(task, conditions)
        best_first = dict(sorted(conditions.items(), key=lambda item, task=task: order[task, item[0]]))
        figures |= head_figures(task, metric, best_first)
        figures |= similarity_figures(task, best_first)
        figures |= map_figures(task, best_first)
        figures |= between_figures(task, best_first)
        best = next(iter(best_first))
        figures |= geometry_figures(task, conditions, best=best)
        figures |= beside_start(task, conditions, WORDS_BY_METRIC, best=best)
        figures |= _start_figures(task, "pretrain", conditions, wanted=r".*loss")
        scores = f"accuracy|macro_f1|{metric}|loss"
        own = rf"multitask/(train/loss|{re.escape(task)}/validation/({scores}))"
        figures |= _start_figures(task, "multitask", conditions, wanted=own)
    return {_slug(name): figure for name, figure in figures.items()}


def variant_figures(variant: VariantResult) -> dict[str, Figure]:
    """Similarity maps and label geometry of one variant by name, as `cka_start`; a tracker draws curves by
    itself."""
    labels = label_figures(variant.task, [variant])
    figures = variant_map_figures(variant) | {f"geometry/{name}": figure for name, figure in labels.items()}
    return {_slug(name): figure for name, figure in figures.items()}


def _learning_figures(task: str, metric: str, conditions: Conditions) -> dict[str, Figure]:
    bands = {name: bands_by_metric(variants, "finetune") for name, variants in conditions.items()}
    figures = {}
    for wanted in dict.fromkeys([f"validation/{metric}", "train/loss"]):
        curves = {name: thinned(of[wanted]) for name, of in bands.items() if wanted in of}
        name = f"learning/{task}/{wanted.replace('/', '_')}"
        figures |= compared(
            name, f"{task}: {spoken(wanted)}", "optimizer step", spoken(wanted), curves, conditions
        )
    return figures


def _layer_figures(task: str, conditions: Conditions) -> dict[str, Figure]:
    figures = {}
    for role in _measure_roles(variants_of(conditions)):
        bands = {name: bands_by_metric(variants, role) for name, variants in conditions.items()}
        for metric in dict.fromkeys(metric for of in bands.values() for metric in of):
            curves = {name: of[metric] for name, of in bands.items() if metric in of}
            title = f"{task}: {spoken(metric)}"
            measure, _, rest = metric.partition("/")
            name = f"{measure}/{task}/{rest.replace('/', '_')}"
            figures |= compared(name, title, layer_axis(metric), spoken(metric), curves, conditions)
    return figures


def _measure_roles(variants: Iterable[VariantResult]) -> list[str]:
    roles = dict.fromkeys(role for variant in variants for role in variant.folders)
    drawn = (*NOT_MEASURES, *OWN_FIGURES, *WORDS_BY_METRIC, BETWEEN, SIMILARITY)
    return [role for role in roles if measure_of(role) not in drawn]


def _factor_figures(study: Study, task: str, metric: str) -> dict[str, Figure]:
    """The test metric over the values of each factor, a dot for each variant."""
    scored = scored_variants(study, task, metric)
    y_label, figures = f"test {metric}", {}
    for factor, values in varied_factors(variant for variant, _ in scored).items():
        title, name = f"{task}: test {metric} by {factor}", f"factors/{task}/{factor}"
        numbers = [variant.recipe.get(factor) for variant, _ in scored]
        if len(values) > MAX_LEVELS and all(isinstance(number, int | float) for number in numbers):
            points = [(number, score) for number, (_, score) in zip(numbers, scored, strict=True)]
            figures[name] = scatter_chart(title, factor, y_label, points)
        else:
            level_of = level_by_label(values)
            scores = {level: [] for level in dict.fromkeys(level_of.values())}
            for variant, score in scored:
                scores[level_of[factor_label(variant, factor)]].append(score)
            figures[name] = dot_chart(title, y_label, scores)
    return figures


def _start_figures(task: str, role: str, conditions: Conditions, *, wanted: str) -> dict[str, Figure]:
    """Each training that others start from once, told apart by the factors and seed that its users share."""
    variants = [
        _as_if_from_the_end(variant)
        for of in conditions.values()
        for variant in of
        if role in variant.folders
    ]
    series = {
        shared_label(of, variants) or "further pretraining": series_by_metric(folder, role)
        for folder, of in users_by_folder(variants, role).items()
    }
    figures = {}
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
    """Snapshots `name@step` stand on the curve of `name`."""
    name = str(variant.recipe.get("pretraining")).partition("@")[0]
    return replace(variant, recipe={**variant.recipe, "pretraining": name})


def _slug(name: str) -> str:
    """The name as a relative path that any file system takes."""
    return "/".join(re.sub(r"[^\w=.-]+", "_", part).strip(".") or "_" for part in name.split("/"))
