"""Writes the report of a study as one HTML file."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from layerscope.jobs.reporting.document import render_report
from layerscope.jobs.reporting.ranking import RankedCondition
from layerscope.jobs.reporting.study import Study


def write_report(
    study: Study,
    path: Path,
    *,
    figures: Mapping[str, Figure] | None = None,
    ranking: Sequence[RankedCondition] | None = None,
) -> Path:
    """Write the page at `path`, whole or not at all; folders are made. Returns the path.

    Args:
        figures, ranking: Those of `study_figures` and `rank_conditions` where they are made already.
    """
    page = render_report(study, figures=figures, ranking=ranking)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(page, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path
