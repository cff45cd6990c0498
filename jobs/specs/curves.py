"""Names of the curves that each measure may log over the layers: none is read that no stage writes."""

from collections.abc import Mapping

from layerscope.jobs.specs.targets import METRICS

_SCORES = tuple(METRICS)
_OF_NETWORKS = ("accuracy", "accuracy_deviation", "macro_f1", "decay", "size_first", "size_second")
_OF_CONTROL = ("accuracy", "selectivity")
_DISTANCES = tuple(f"{of}_distance_{end}" for of in ("min", "mean") for end in ("lower", "upper"))
_PAIRS = ("next_layer", "same_layer")
_SIMILARITIES = (
    *_PAIRS,
    *(f"{pair}/{end}" for pair in _PAIRS for end in ("low", "high")),
    "floor",
    "largest_row",
    "top_percent",
)

CURVES: Mapping[str, tuple[str, ...]] = {
    "probe": _SCORES,
    "mlp_probe": _OF_NETWORKS,
    "probe_control": _OF_CONTROL,
    "mlp_probe_control": _OF_CONTROL,
    "description_length": ("bits", "compression"),
    "depth": _SCORES,
    "cka": _PAIRS,
    "between": _SIMILARITIES,
    "similarity": _SIMILARITIES,
    "spread": (
        "effective_rank",
        "participation_ratio",
        "mean_cosine",
        "isoscore",
        "intrinsic_dimension",
        "between_within",
    ),
    "geometry": (
        "clusters",
        "labels",
        "linear",
        "permuted_clusters",
        "contradicted",
        "pairs_too_small",
        *_DISTANCES,
        *(f"test_pearson{end}" for end in ("", "_low", "_high")),
    ),
    "shift": (
        *(f"pearson{end}" for end in ("", "_low", "_high")),
        "rising",
        "falling",
        "mean_change",
        "centroid_shift",
        "centroid_shift_max",
        "common_shift",
    ),
    "paths": ("path_length", "plane_share"),
}
"""By measure, the first part of a role. An artifact may lack some: what is not finite is not logged."""


def checked_curve(measure: str, name: str) -> str:
    """The name of a curve.

    Raises:
        ValueError: the measure never logs a curve of this name.
    """
    if name not in CURVES.get(measure, ()):
        known = ", ".join(CURVES[measure]) if measure in CURVES else "no curves"
        raise ValueError(f"{measure} has no curve that is called {name}: it has {known}")
    return name
