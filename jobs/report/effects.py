"""Main effects: the difference in test metric between values of a factor, all else equal."""

import math
from collections import defaultdict
from dataclasses import dataclass

from layerscope.jobs.artifacts.record import read_metrics
from layerscope.jobs.kernels.statistics.intervals import Interval, Scale, mean_interval
from layerscope.jobs.report.conditions import MAX_LEVELS, factor_label, varied_factors
from layerscope.jobs.report.study import Study, VariantResult
from layerscope.jobs.specs.targets import Metric


@dataclass(frozen=True)
class Effect:
    """One value of one factor in one task."""

    task: str
    factor: str
    value: str
    num_variants: int
    """Variants with this value and a finite test score."""
    mean: float
    """Mean of their test scores."""
    reference: str
    """The factor's first value, against which the others are paired."""
    num_pairs: int
    """Variants that have a partner equal in seed and every other factor, with the reference value."""
    difference: Interval | None
    """Mean of score minus partner's score, with its 95 % interval over the pairs; None without pairs."""


def main_effects(study: Study) -> list[Effect]:
    """Effects of the factors with two to six values, by task and factor; factors with more are left out."""
    return [
        effect
        for task, metric in study.metric_by_task.items()
        for factor in varied_factors(variant for variant in study.variants if variant.task == task)
        for effect in _effects_of(scored_variants(study, task, metric), task, study.metric(metric), factor)
    ]


def scored_variants(study: Study, task: str, metric: str) -> list[tuple[VariantResult, float]]:
    """The done variants of a task with their test score, where it is finite."""
    done = [v for v in study.variants if v.task == task and v.state == "done" and "finetune" in v.folders]
    scores = [(v, read_metrics(v.folders["finetune"]).get(f"test/{metric}", math.nan)) for v in done]
    return [(variant, score) for variant, score in scores if math.isfinite(score)]


def _effects_of(
    scored: list[tuple[VariantResult, float]], task: str, metric: Metric, factor: str
) -> list[Effect]:
    factors = varied_factors(variant for variant, _ in scored)
    values = factors.pop(factor, ())
    if not 2 <= len(values) <= MAX_LEVELS:
        return []
    scores: dict[str, dict[tuple[object, ...], float]] = defaultdict(dict)
    for variant, score in scored:
        rest = (variant.seed, *(factor_label(variant, other) for other in factors))
        scores[factor_label(variant, factor)][rest] = score
    scale = metric.scale_of_differences
    return [
        _effect(scores[value], scores[values[0]], task, factor, value, values[0], scale) for value in values
    ]


def _effect(
    own: dict[tuple[object, ...], float],
    reference: dict[tuple[object, ...], float],
    task: str,
    factor: str,
    value: str,
    first: str,
    scale: Scale,
) -> Effect:
    pairs = [own[rest] - reference[rest] for rest in own if rest in reference] if value != first else []
    return Effect(
        task=task,
        factor=factor,
        value=value,
        num_variants=len(own),
        mean=sum(own.values()) / len(own),
        reference=first,
        num_pairs=len(pairs),
        difference=mean_interval(pairs, scale=scale) if pairs else None,
    )
