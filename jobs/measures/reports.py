"""Figures and tables of each folder of measures in the report, beyond curves, in its order."""

from collections.abc import Mapping

from layerscope.jobs.measures.geometry.report import REPORT as GEOMETRY
from layerscope.jobs.measures.layer_dropping.report import REPORT as LAYER_DROPPING
from layerscope.jobs.measures.probe.report import REPORT as PROBE
from layerscope.jobs.measures.similarity.report import REPORT as SIMILARITY
from layerscope.jobs.report.measure_report import MeasureReport

REPORTS: Mapping[str, MeasureReport] = {
    "probe": PROBE,
    "layer_dropping": LAYER_DROPPING,
    "similarity": SIMILARITY,
    "geometry": GEOMETRY,
}
