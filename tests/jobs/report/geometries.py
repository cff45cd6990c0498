"""Studies with a geometry of labels, written by hand."""

from pathlib import Path

import numpy as np

from layerscope.jobs.artifacts.centroid_shift import LabelShift, write_label_shift
from layerscope.jobs.artifacts.label_geometry import LabelDistances, LabelGeometry, write_label_geometry
from layerscope.jobs.report.study import VariantResult
from tests.jobs.report.studies import make_variant, write_curves, write_record

LABELS = tuple("abcdefgh")


def distances(nearest_LC: np.ndarray) -> LabelDistances:
    """Those of labels on a line of which only the nearest distances matter."""
    num_layers, num_labels = nearest_LC.shape
    whole_LCC = np.ones((num_layers, num_labels, num_labels))
    return LabelDistances(*[whole_LCC] * 4, nearest_LC - 0.1, nearest_LC + 0.1)


def with_geometry(
    variant: VariantResult, role: str, nearest_LC: np.ndarray, **curves: list[float]
) -> VariantResult:
    """A geometry of eight labels under a role, and its curves from layer 0 on."""
    logged = {metric: dict(enumerate(values)) for metric, values in curves.items()}
    variant = write_curves(variant, role, logged)
    part = distances(np.asarray(nearest_LC, dtype=np.float64))
    write_label_geometry(variant.folders[role], LabelGeometry(LABELS, part, part))
    return variant


def measured(
    root: Path, *, subject: str = "", seed: int = 0, state: str = "done", **recipe: object
) -> VariantResult:
    """A variant whose labels a to h went from 1 to 1..8 in the last of two layers."""
    variant = write_record(make_variant(root, seed=seed, **recipe), test__accuracy=0.5)
    role = f"geometry/{subject}" if subject else "geometry"
    before, after = np.ones((2, 8)), np.ones((2, 8))
    after[1] = np.arange(1, 9)
    ends = {
        "min_distance_lower": [0.9, 1.0],
        "min_distance_upper": [1.1, 1.2],
        "mean_distance_lower": [1.9, 2.0],
        "mean_distance_upper": [2.1, 2.2],
    }
    variant = with_geometry(
        variant,
        f"{role}/start",
        before,
        clusters=[20, 12 + 4 * seed],
        labels=[8, 8],
        test_pearson=[0.5, 0.9],
        test_pearson_low=[0.3, 0.8],
        test_pearson_high=[0.6, 0.95],
        **ends,
    )
    variant = with_geometry(
        variant,
        role,
        after,
        clusters=[20, 8],
        labels=[8, 8],
        permuted_clusters=[30, 40],
        pairs_too_small=[0.0, 0.0],
        test_pearson=[0.5, 0.7],
        test_pearson_low=[0.3, 0.6],
        test_pearson_high=[0.6, 0.8],
        **ends,
    )
    variant = write_curves(
        variant,
        role.replace("geometry", "shift"),
        {
            "pearson": {0: 0.9, 1: 0.6},
            "pearson_low": {0: 0.8, 1: 0.4},
            "pearson_high": {0: 0.95, 1: 0.7},
            "rising": {0: 0, 1: 7},
            "falling": {0: 0, 1: 0},
            "mean_change": {0: 0.0, 1: 3.5},
            "centroid_shift": {0: 0.1, 1: 2.0},
        },
    )
    shift = LabelShift(
        LABELS,
        norm_LC=after,
        plane_LC2=np.stack([after, before], axis=2),
        plane_share_L=np.array([np.nan, 0.8]),
        nearest_before_LC=before,
        nearest_after_LC=after,
    )
    write_label_shift(variant.folders[role.replace("geometry", "shift")], shift)
    return variant
