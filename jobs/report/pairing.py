"""Predictions of conditions on the same test examples, over common seeds.

Axes: S seeds, N examples.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from layerscope.jobs.artifacts.predictions import Predictions, read_predictions
from layerscope.jobs.kernels.statistics.paired_tests import mcnemar
from layerscope.jobs.report.study import VariantResult

CorrectBySeed = Mapping[int, tuple[np.ndarray, np.ndarray]]
"""Sorted ids of the test examples, and whether (0 or 1) each prediction is correct (N,)."""
NumbersBySeed = Mapping[int, tuple[np.ndarray, np.ndarray]]
"""Sorted ids of the test examples, and the true and the predicted number of each (2, N)."""


def correct_by_seed(variants: Sequence[VariantResult]) -> CorrectBySeed:
    """Correctness of the predictions of one condition's done variants; regression is left out."""
    tables = _tables(variants)
    return {seed: _correct(table) for seed, table in tables.items() if not _are_numbers(table)}


def numbers_by_seed(variants: Sequence[VariantResult]) -> NumbersBySeed:
    """Numbers predicted by one condition's done variants (regression)."""
    tables = _tables(variants)
    return {seed: _numbers(table) for seed, table in tables.items() if _are_numbers(table)}


def matched(*tables: CorrectBySeed | NumbersBySeed) -> tuple[np.ndarray, ...] | None:
    """Values of each over shared seeds, (S, N) or (S, 2, N); None unless they share two examples or more."""
    seeds = sorted(set.intersection(*(set(table) for table in tables)))
    ids = [table[seed][0] for seed in seeds for table in tables]
    if not seeds or len(ids[0]) < 2 or not all(np.array_equal(ids[0], other) for other in ids):
        return None
    return tuple(np.stack([table[seed][1] for seed in seeds]) for table in tables)


def sign_test(correct_a_SN: np.ndarray, correct_b_SN: np.ndarray) -> float:
    """McNemar's exact p; over several seeds, an example counts for the side that is correct in more of
    them."""
    right_a_N, right_b_N = correct_a_SN.sum(axis=0), correct_b_SN.sum(axis=0)
    return mcnemar(right_a_N > right_b_N, right_b_N > right_a_N)


def _tables(variants: Sequence[VariantResult]) -> dict[int, Predictions]:
    found = {
        v.seed: read_predictions(v.folders["finetune"])
        for v in variants
        if v.state == "done" and "finetune" in v.folders
    }
    return {seed: table for seed, table in found.items() if table is not None}


def _are_numbers(table: Predictions) -> bool:
    return any(isinstance(value, float) for value in table.predictions)


def _correct(table: Predictions) -> tuple[np.ndarray, np.ndarray]:
    correct_N = np.array(
        [_is_right(a, b) for a, b in zip(table.labels, table.predictions, strict=True)], dtype=np.int64
    )
    ids_N, order = _ids(table)
    return ids_N, correct_N[order]


def _numbers(table: Predictions) -> tuple[np.ndarray, np.ndarray]:
    ids_N, order = _ids(table)
    return ids_N, np.array([table.labels, table.predictions], dtype=np.float64)[:, order]


def _ids(table: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Sorted ids, and the rows in that order."""
    ids_N = np.array([str(identifier) for identifier in table.ids])
    order = np.argsort(ids_N, kind="stable")
    return ids_N[order], order


def _is_right(label: float | list[int], prediction: float) -> bool:
    """Whether the prediction is the label or, with several correct choices, one of them."""
    return prediction in label if isinstance(label, list) else prediction == label
