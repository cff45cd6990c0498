"""Label geometry in the report."""

from pathlib import Path

from matplotlib.figure import Figure

from layerscope.jobs.measures.geometry.figures import geometry_figures, label_figures
from layerscope.jobs.measures.geometry.table import geometry_rows
from layerscope.jobs.report.measure_report import MeasureReport, TaskResults
from layerscope.jobs.report.study import VariantResult


def _figures(results: TaskResults) -> dict[str, Figure]:
    return geometry_figures(results.task, results.conditions, best=results.best)


def _variant_figures(variant: VariantResult) -> dict[str, Figure]:
    labels = label_figures(variant.task, [variant])
    return {f"geometry/{name}": figure for name, figure in labels.items()}


REPORT = MeasureReport(
    figures=_figures,
    variant_figures=_variant_figures,
    template=Path(__file__).with_name("table.html.jinja"),
    rows=lambda study: {"geometry_rows": geometry_rows(study)},
)
