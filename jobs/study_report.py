"""The figures and the report of a study, with all measures that there are."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from layerscope.jobs.measures import MEASURES
from layerscope.jobs.measures.reports import REPORTS
from layerscope.jobs.report import document
from layerscope.jobs.report import study_figures as drawn
from layerscope.jobs.report.ranking import RankedCondition, rank_conditions
from layerscope.jobs.report.study import Study, VariantResult

Ranking = Sequence[RankedCondition]


def study_figures(study: Study, *, ranking: Ranking | None = None) -> dict[str, Figure]:
    """Figures by name, as `learning/<task>/validation_accuracy/by_<factor>`; only those that have data.

    Args:
        ranking: That of `rank_conditions` where the conditions are ranked already.
    """
    ranked = rank_conditions(study) if ranking is None else ranking
    return drawn.study_figures(study, ranked, {**MEASURES, **study.plugins}, REPORTS)


def variant_figures(variant: VariantResult) -> dict[str, Figure]:
    """Figures of one variant by name, as `cka_start`; a tracker draws curves by itself."""
    return drawn.variant_figures(variant, REPORTS)


def render_report(
    study: Study, *, figures: Mapping[str, Figure] | None = None, ranking: Ranking | None = None
) -> str:
    """The page as HTML that loads nothing from outside and works without scripts.

    Args:
        figures, ranking: Those of `study_figures` and `rank_conditions` where they are made already.
    """
    ranked = rank_conditions(study) if ranking is None else ranking
    shown = study_figures(study, ranking=ranked) if figures is None else figures
    return document.render_report(
        study, shown, ranked, measures={**MEASURES, **study.plugins}, reports=REPORTS
    )


def write_report(
    study: Study,
    path: Path,
    *,
    figures: Mapping[str, Figure] | None = None,
    ranking: Ranking | None = None,
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
