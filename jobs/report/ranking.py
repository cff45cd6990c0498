"""The conditions of each task, best first, and which differences from the highest are significant."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from layerscope.jobs.artifacts.record import read_metrics
from layerscope.jobs.kernels.statistics.intervals import Interval, mean_interval
from layerscope.jobs.kernels.statistics.paired_correlations import (
    LEAST_EXAMPLES,
    Correlation,
    correlation_difference,
)
from layerscope.jobs.kernels.statistics.paired_tests import difference_interval, holm
from layerscope.jobs.report.conditions import conditions_by_task
from layerscope.jobs.report.pairing import correct_by_seed, matched, numbers_by_seed, sign_test
from layerscope.jobs.report.study import Study, VariantResult, training_end
from layerscope.jobs.specs.targets import Metric

Standing = Literal[
    "best", "highest", "indistinguishable", "worse", "not compared", "did not learn", "diverged", "no result"
]

SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class RankedCondition:
    """One condition of one task; for every test metric, higher is better."""

    task: str
    condition: str
    metric: str
    """The test metric by which the task is ranked."""
    num_seeds: int
    """Seeds with a finite test score."""
    num_variants: int
    """Seeds of the experiment."""
    num_cells: int
    """Grid cells that collapsed into this condition."""
    num_stopped: int
    num_failed: int
    num_diverged: int
    num_not_learning: int
    """Seeds that did not diverge but do not beat the majority-class baseline."""
    num_without_score: int
    """Seeds that are running or to do."""
    scores: tuple[float, ...]
    """The finite test scores, one a seed."""
    test: Interval
    """Mean of the scores with its 95 % interval over seeds, inside the metric's scale; NaN bounds for one
    seed or identical scores, all NaN for none."""
    validation: float
    """Mean validation score over the same seeds; NaN if unknown."""
    seconds: float
    """Mean training time of a seed; NaN if unknown."""
    standing: Standing
    """`best` has the highest mean and every compared other is `worse`; otherwise it is `highest`."""
    difference: Interval | None = None
    """Accuracy of the highest condition minus this one's over common seeds, with its 95 % bootstrap
    interval over test examples; for regression, of the task's metric; None if not compared."""
    p_value: float | None = None
    """Two-sided p against the highest condition, Holm-adjusted within the task; exact except for
    regression."""


def rank_conditions(study: Study) -> list[RankedCondition]:
    """The conditions by task, best mean test score first; then those that did not learn with any seed, those
    of which a seed diverged, and those without a score.

    A condition is `worse` than the highest if the Holm-adjusted p is below 0.05 and the interval of the
    difference lies above zero. The test is McNemar's exact test; over several seeds, an example counts for
    the condition that predicts it correctly in more of them (a sign test, which for one seed is McNemar's).
    For regression it is a paired bootstrap of the task's metric over the examples.
    """
    return [
        ranked
        for task, conditions in conditions_by_task(study).items()
        for ranked in _rank_task(list(conditions.values()), study.metric(study.metric_by_task[task]))
    ]


def _rank_task(conditions: list[tuple[VariantResult, ...]], metric: Metric) -> list[RankedCondition]:
    summaries = [(_summarise(variants, metric), variants) for variants in conditions]
    summaries.sort(key=lambda pair: _order(pair[0]))
    (first, first_variants), *others = summaries
    if first.standing != "not compared":
        return [ranked for ranked, _ in summaries]
    compared = _compare(metric, first_variants, others)
    separated = [
        ranked.standing == "worse"
        for ranked in compared
        if ranked.standing not in ("did not learn", "diverged", "no result")
    ]
    is_best = bool(separated) and all(separated)
    return [replace(first, standing="best" if is_best else "highest"), *compared]


def _summarise(variants: Sequence[VariantResult], metric: Metric) -> RankedCondition:
    """The condition on its own; its standing is `not compared` until it is compared."""
    metrics = [
        read_metrics(v.folders["finetune"]) for v in variants if v.state == "done" and "finetune" in v.folders
    ]
    scored = [m for m in metrics if math.isfinite(m.get(f"test/{metric.name}", math.nan))]
    scores = tuple(m[f"test/{metric.name}"] for m in scored)
    ends = [training_end(m) for m in metrics]
    num_diverged, num_not_learning = ends.count("diverged"), ends.count("did not learn")
    standing: Standing = "not compared"
    if not metrics:
        standing = "no result"
    elif num_diverged or len(scored) < len(metrics):
        standing = "diverged"
    elif num_not_learning == len(metrics):
        standing = "did not learn"
    return RankedCondition(
        task=variants[0].task,
        condition=variants[0].condition,
        metric=metric.name,
        num_seeds=len(scores),
        num_variants=len(variants),
        num_cells=max(v.num_cells for v in variants),
        num_stopped=sum(v.state == "stopped" for v in variants),
        num_failed=sum(v.state in ("failed", "blocked") for v in variants),
        num_diverged=num_diverged,
        num_not_learning=num_not_learning,
        num_without_score=sum(v.state in ("running", "todo") for v in variants),
        scores=scores,
        test=mean_interval(scores, scale=metric.scale) if scores else Interval(math.nan, math.nan, math.nan),
        validation=_mean([m.get(f"validation/{metric.name}", math.nan) for m in scored]),
        seconds=_mean([m.get("train/seconds", math.nan) for m in metrics]),
        standing=standing,
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def _order(ranked: RankedCondition) -> tuple[int, float]:
    group = {"not compared": 0, "did not learn": 1, "diverged": 2, "no result": 3}[ranked.standing]
    return group, -ranked.test.mean if ranked.scores else math.inf


def _compare(
    metric: Metric,
    first_variants: Sequence[VariantResult],
    others: Sequence[tuple[RankedCondition, Sequence[VariantResult]]],
) -> list[RankedCondition]:
    tests = [
        _test(metric, first_variants, variants) if ranked.standing == "not compared" else None
        for ranked, variants in others
    ]
    adjusted = iter(holm([test[1] for test in tests if test is not None]))
    return [
        ranked if test is None else _with_comparison(ranked, test[0], float(next(adjusted)))
        for (ranked, _), test in zip(others, tests, strict=True)
    ]


def _test(
    metric: Metric, first: Sequence[VariantResult], other: Sequence[VariantResult]
) -> tuple[Interval, float] | None:
    """The lead of the first on the same examples, and p; None without shared examples."""
    if metric.compares == "nothing":
        return None
    if metric.compares == "correlations":
        pair = matched(numbers_by_seed(first), numbers_by_seed(other))
        if pair is None or pair[0].shape[-1] < LEAST_EXAMPLES:
            return None
        first_S2N, other_S2N = pair
        correlation: Correlation = next(name for name in get_args(Correlation) if name == metric.name)
        return correlation_difference(
            first_S2N[0, 0], first_S2N[:, 1], other_S2N[:, 1], correlation=correlation, seed=0
        )
    pair = matched(correct_by_seed(first), correct_by_seed(other))
    return None if pair is None else (difference_interval(*pair, seed=0), sign_test(*pair))


def _with_comparison(ranked: RankedCondition, difference: Interval, p_value: float) -> RankedCondition:
    is_worse = p_value < SIGNIFICANCE and difference.low > 0
    standing: Standing = "worse" if is_worse else "indistinguishable"
    return replace(ranked, difference=difference, p_value=p_value, standing=standing)
