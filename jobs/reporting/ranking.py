"""The conditions of each task, best first, and which differences from the best are real."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from jobs.numerics.intervals import Interval, mean_interval
from jobs.numerics.paired_tests import difference_interval, holm, mcnemar
from jobs.reporting.conditions import conditions_by_task
from jobs.reporting.study import Study, VariantResult, read_metrics

Standing = Literal["best", "highest", "indistinguishable", "worse", "diverged", "not compared", "no result"]

SIGNIFICANCE = 0.05
PREDICTIONS = "test_predictions.json"


@dataclass(frozen=True)
class RankedCondition:
    """One condition of one task; every test metric is one of which more is better."""

    task: str
    condition: str
    metric: str
    """The test metric by which the task is ranked."""
    num_seeds: int
    """Seeds with a finite test score."""
    num_variants: int
    """Seeds asked for."""
    num_cells: int
    """Grid cells that this condition stands for."""
    num_stopped: int
    num_failed: int
    num_diverged: int
    scores: tuple[float, ...]
    """The finite test scores, one a seed."""
    test: Interval
    """Mean of the scores with its 95 % Student-t interval; NaN bounds with one seed, all NaN with none."""
    validation: float
    """Mean validation score over the same seeds; NaN where unknown."""
    seconds: float
    """Mean training time of a seed; NaN where unknown."""
    standing: Standing
    """`best` has the highest mean and every compared other is `worse`; otherwise it is `highest`."""
    difference: Interval | None = None
    """Accuracy of the highest condition less this one's over the seeds both have, with its 95 % bootstrap
    interval over test examples; None where it was not compared."""
    p_value: float | None = None
    """Two-sided exact p against the highest condition, adjusted by Holm within the task."""


def rank_conditions(study: Study) -> list[RankedCondition]:
    """The conditions by task, best mean test score first; then diverged ones, then those without a score.

    A condition is `worse` than the highest where Holm's p is below 0.05 and the interval of the difference
    lies above zero. The test is McNemar's; over several seeds an example counts for the condition that has
    it right in more of them (the sign test that McNemar's is with one seed).
    """
    return [
        ranked
        for task, conditions in conditions_by_task(study).items()
        for ranked in _rank_task(list(conditions.values()), study.metric_by_task[task])
    ]


def _rank_task(conditions: list[tuple[VariantResult, ...]], metric: str) -> list[RankedCondition]:
    summaries = [(_summarise(variants, metric), variants) for variants in conditions]
    summaries.sort(key=lambda pair: _order(pair[0]))
    (first, first_variants), *others = summaries
    if first.standing != "not compared":
        return [ranked for ranked, _ in summaries]
    compared = _compare(first_variants, others)
    separated = [
        ranked.standing == "worse" for ranked in compared if ranked.standing not in ("diverged", "no result")
    ]
    is_best = bool(separated) and all(separated)
    return [replace(first, standing="best" if is_best else "highest"), *compared]


def _summarise(variants: Sequence[VariantResult], metric: str) -> RankedCondition:
    """The condition on its own; its standing is still `not compared` where it can be compared."""
    metrics = [
        read_metrics(v.folders["finetune"]) for v in variants if v.state == "done" and "finetune" in v.folders
    ]
    scored = [m for m in metrics if math.isfinite(m.get(f"test/{metric}", math.nan))]
    scores = tuple(m[f"test/{metric}"] for m in scored)
    is_complete = len(scored) == len(metrics)
    return RankedCondition(
        task=variants[0].task,
        condition=variants[0].condition,
        metric=metric,
        num_seeds=len(scores),
        num_variants=len(variants),
        num_cells=max(v.num_cells for v in variants),
        num_stopped=sum(v.state == "stopped" for v in variants),
        num_failed=sum(v.state in ("failed", "blocked") for v in variants),
        num_diverged=sum(m.get("diverged", 0) == 1 for m in metrics),
        scores=scores,
        test=mean_interval(scores) if scores else Interval(math.nan, math.nan, math.nan),
        validation=_mean([m.get(f"validation/{metric}", math.nan) for m in scored]),
        seconds=_mean([m.get("train/seconds", math.nan) for m in metrics]),
        standing="no result" if not metrics else "not compared" if is_complete else "diverged",
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def _order(ranked: RankedCondition) -> tuple[int, float]:
    group = {"not compared": 0, "diverged": 1, "no result": 2}[ranked.standing]
    return group, -ranked.test.mean if ranked.scores else math.inf


def _compare(
    first_variants: Sequence[VariantResult], others: Sequence[tuple[RankedCondition, Sequence[VariantResult]]]
) -> list[RankedCondition]:
    first = _correct_by_seed(first_variants)
    pairs = [
        _matched(first, _correct_by_seed(variants)) if ranked.standing == "not compared" else None
        for ranked, variants in others
    ]
    adjusted = iter(holm([_sign_test(*pair) for pair in pairs if pair is not None]))
    return [
        ranked if pair is None else _with_comparison(ranked, pair, float(next(adjusted)))
        for (ranked, _), pair in zip(others, pairs, strict=True)
    ]


def _with_comparison(
    ranked: RankedCondition, pair: tuple[np.ndarray, np.ndarray], p_value: float
) -> RankedCondition:
    difference = difference_interval(*pair, seed=0)
    is_worse = p_value < SIGNIFICANCE and difference.low > 0
    standing = "worse" if is_worse else "indistinguishable"
    return replace(ranked, difference=difference, p_value=p_value, standing=standing)


def _sign_test(correct_a_SN: np.ndarray, correct_b_SN: np.ndarray) -> float:
    right_a_N, right_b_N = correct_a_SN.sum(axis=0), correct_b_SN.sum(axis=0)
    return mcnemar(right_a_N > right_b_N, right_b_N > right_a_N)


def _matched(
    a: dict[int, tuple[np.ndarray, np.ndarray]], b: dict[int, tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Correctness of both over shared seeds, (S, N) each; None unless they share two or more examples."""
    seeds = sorted(a.keys() & b.keys())
    ids = [table[seed][0] for seed in seeds for table in (a, b)]
    if not seeds or len(ids[0]) < 2 or not all(np.array_equal(ids[0], other) for other in ids):
        return None
    return np.stack([a[seed][1] for seed in seeds]), np.stack([b[seed][1] for seed in seeds])


def _correct_by_seed(variants: Sequence[VariantResult]) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    paths = {
        v.seed: v.folders["finetune"] / PREDICTIONS
        for v in variants
        if v.state == "done" and "finetune" in v.folders
    }
    return {seed: _correct(path) for seed, path in paths.items() if path.exists()}


def _correct(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Ids of the test examples in their own order, and whether (0 or 1) each was predicted right."""
    table = json.loads(path.read_text(encoding="utf-8"))
    ids_N = np.array([str(identifier) for identifier in table["ids"]])
    correct_N = np.array(
        [a == b for a, b in zip(table["labels"], table["predictions"], strict=True)], dtype=int
    )
    order = np.argsort(ids_N, kind="stable")
    return ids_N[order], correct_N[order]
