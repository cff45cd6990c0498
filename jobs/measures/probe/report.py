"""Probes in the report, beyond their curves: tables for the last layer."""

from pathlib import Path

from layerscope.jobs.measures.probe.table import cross_tables, probe_rows
from layerscope.jobs.report.measure_report import MeasureReport

REPORT = MeasureReport(
    template=Path(__file__).with_name("table.html.jinja"),
    rows=lambda study: {"probe_rows": probe_rows(study), "cross_tables": cross_tables(study)},
)
