"""Layer similarity in the report: curves with intervals, maps, blocks and tables."""

from pathlib import Path

from matplotlib.figure import Figure

from layerscope.jobs.measures.similarity.blocks_table import block_rows
from layerscope.jobs.measures.similarity.maps import map_figures, variant_map_figures
from layerscope.jobs.measures.similarity.pairs import between_figures
from layerscope.jobs.measures.similarity.table import similarity_figures, similarity_tables
from layerscope.jobs.report.measure_report import MeasureReport, TaskResults


def _figures(results: TaskResults) -> dict[str, Figure]:
    task, conditions = results.task, results.best_first
    figures = similarity_figures(task, conditions) | map_figures(task, conditions)
    return figures | between_figures(task, conditions)


REPORT = MeasureReport(
    figures=_figures,
    variant_figures=variant_map_figures,
    template=Path(__file__).with_name("table.html.jinja"),
    rows=lambda study: {"blocks": block_rows(study), "similarities": similarity_tables(study)},
    sections={
        "maps": (
            "Similarity maps",
            "Mean over seeds, on one scale from 0 to 1; negative values are drawn as 0. Hatched grey: "
            "undefined (the layer is constant over the examples or not finite).",
        )
    },
)
