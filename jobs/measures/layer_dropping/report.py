"""Layer dropping in the report: both heads in one figure, and the number of removable layers."""

from pathlib import Path

from matplotlib.figure import Figure

from layerscope.jobs.measures.layer_dropping.table import TOLERANCE, drop_rows, head_figures
from layerscope.jobs.report.measure_report import MeasureReport, TaskResults


def _figures(results: TaskResults) -> dict[str, Figure]:
    return head_figures(results.task, results.metric, results.best_first)


REPORT = MeasureReport(
    figures=_figures,
    template=Path(__file__).with_name("table.html.jinja"),
    rows=lambda study: {"drops": drop_rows(study), "tolerance": TOLERANCE},
)
