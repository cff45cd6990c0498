"""Measures of layers, one folder each, and the dict of all of them.

A folder has `specs.py` (the declaration), one module per kind of stage, and, if the report shows more than
its curves, `report.py` and a template.
"""

from collections.abc import Mapping

from layerscope.jobs.measures.geometry.specs import GEOMETRY, PATHS, SHIFT, GeometrySettings
from layerscope.jobs.measures.isotropy.specs import SPREAD, IsotropySettings
from layerscope.jobs.measures.layer_dropping.specs import DEPTH, LayerDroppingSettings
from layerscope.jobs.measures.plugin.specs import MODULES as PLUGIN_MODULES
from layerscope.jobs.measures.plugin.specs import PluginSettings
from layerscope.jobs.measures.probe.specs import (
    DESCRIPTION_LENGTH,
    MLP_PROBE,
    MLP_PROBE_CONTROL,
    PROBE,
    PROBE_CONTROL,
    ProbeSettings,
)
from layerscope.jobs.measures.similarity.specs import BETWEEN, BLOCKS, CKA, SIMILARITY, SimilaritySettings
from layerscope.jobs.specs.measure import Measure

MEASURES: Mapping[str, Measure] = {
    "probe": PROBE,
    "mlp_probe": MLP_PROBE,
    "probe_control": PROBE_CONTROL,
    "mlp_probe_control": MLP_PROBE_CONTROL,
    "description_length": DESCRIPTION_LENGTH,
    "depth": DEPTH,
    "cka": CKA,
    "blocks": BLOCKS,
    "similarity": SIMILARITY,
    "between": BETWEEN,
    "geometry": GEOMETRY,
    "shift": SHIFT,
    "paths": PATHS,
    "spread": SPREAD,
}
"""By name, in the order of the report."""


class MeasureSettings(
    PluginSettings,
    IsotropySettings,
    GeometrySettings,
    LayerDroppingSettings,
    SimilaritySettings,
    ProbeSettings,
):
    """All keys under `measures`, in the order of the last to the first base class."""


def module_of(kind: str) -> str:
    """The module that computes a kind of stage: the measure's, or else `layerscope.jobs.<kind>`."""
    by_kind = PLUGIN_MODULES | {
        kind: module for measure in MEASURES.values() for kind, module in measure.modules.items()
    }
    return by_kind.get(kind, f"layerscope.jobs.{kind}")


def curves_of(kind: str) -> frozenset[str] | None:
    """The curves that a kind of stage may log; None if it does not belong to a measure."""
    measures = [measure for measure in MEASURES.values() if kind in measure.modules]
    return frozenset(name for measure in measures for name in measure.curves) if measures else None
