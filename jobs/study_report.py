"""The figures and the report of a study, with all measures."""

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
    """Figures by name, as `learning/<task>/validation_accuracy/by_<factor>`; only those with data.

    Args:
        ranking: Result of `rank_conditions`, if already computed.
    """
    ranked = rank_conditions(study) if ranking is None else ranking
    return drawn.study_figures(study, ranked, {**MEASURES, **study.plugins}, REPORTS)


def variant_figures(variant: VariantResult) -> dict[str, Figure]:
    """Figures of one variant by name, as `cka_start`; trackers plot curves themselves."""
    return drawn.variant_figures(variant, REPORTS)


def render_report(
    study: Study, *, figures: Mapping[str, Figure] | None = None, ranking: Ranking | None = None
) -> str:
    """The page as HTML; it loads nothing from the network and works without JavaScript.

    Args:
        figures, ranking: Results of `study_figures` and `rank_conditions`, if already computed.
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
    """Write the page to `path` atomically, creating folders. Returns the path.

    Args:
        figures, ranking: Results of `study_figures` and `rank_conditions`, if already computed.
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
