"""The HTML report of a study, one self-contained page: ranking, effects, figures, failures, how to
reproduce."""

import io
import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure

from layerscope.jobs.artifacts.record import RECORD, read_record
from layerscope.jobs.report.conditions import (
    condition_label,
    conditions_by_task,
    factor_label,
    variants_of,
    varied_factors,
)
from layerscope.jobs.report.drawing import INK
from layerscope.jobs.report.effects import main_effects
from layerscope.jobs.report.measure_report import MeasureReport
from layerscope.jobs.report.number_formats import (
    bounds,
    change,
    count,
    duration,
    p_value,
    percent,
    points,
    score,
    signed_score,
)
from layerscope.jobs.report.paper.claims import check_claims, comparison_line
from layerscope.jobs.report.paper.paper_tables import beside_tables, smaller_setting
from layerscope.jobs.report.ranking import RankedCondition
from layerscope.jobs.report.recipe_tables import cuts, rates
from layerscope.jobs.report.study import Study
from layerscope.jobs.specs.measure import Measure

Item = TypeVar("Item")

TEMPLATE = "report.html.jinja"

FIRST_SECTIONS = {
    "factors": (
        "Test score by factor",
        "A dot is the test score of one variant; a bar is the mean for one value.",
    ),
    "learning": ("Learning curves", ""),
}
LAST_SECTIONS = {
    "pretraining": (
        "Continued pretraining and joint training",
        "Each is run once and shared by the variants that start from it.",
    ),
}
CURVE_NOTES = {
    "one by one": "By condition: line, mean over its seeds; band, lowest to highest seed; "
    "dotted, not finished.",
    "by factor": "By factor: thin line, one condition; thick line, mean of the finished conditions with that "
    "value; dotted, not finished; cross, a seed of the condition diverged or did not learn.",
}

STANDINGS = {
    "best": "best",
    "highest": "highest score",
    "indistinguishable": "not significant",
    "worse": "worse",
    "diverged": "diverged",
    "did not learn": "did not learn",
    "not compared": "not compared",
    "no result": "no result",
}


@dataclass(frozen=True)
class Trouble:
    """Variants that were stopped, failed or are blocked for the same reason."""

    state: str
    reason: str
    variants: tuple[str, ...]


def render_report(
    study: Study,
    figures: Mapping[str, Figure],
    ranking: Sequence[RankedCondition],
    *,
    measures: Mapping[str, Measure],
    reports: Mapping[str, MeasureReport],
) -> str:
    """The page as HTML; it loads nothing from the network and works without JavaScript.

    Args:
        figures, ranking: Returned by `study_figures` and `rank_conditions`.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"count": count, "score": score, "percent": percent, "points": points}
    environment.filters |= {"signed_score": signed_score, "bounds": bounds, "change": change}
    environment.filters |= {"p": p_value, "duration": duration, "comparison": comparison_line}
    ranking_by_task = {
        task: list(group) for task, group in itertools.groupby(ranking, lambda ranked: ranked.task)
    }
    return environment.get_template(TEMPLATE).render(
        study=study,
        counts=Counter(variant.state for variant in study.variants),
        summaries=[_summary(group) for group in ranking_by_task.values()],
        ranking_by_task=ranking_by_task,
        columns_by_task={task: _columns(study, task) for task in ranking_by_task},
        strip_by_task={task: _Strip(group) for task, group in ranking_by_task.items()},
        standings=STANDINGS,
        effects=_grouped(main_effects(study), lambda effect: effect.task),
        sections=_sections(figures, measures, reports),
        measure_tables=[
            environment.from_string(report.template.read_text(encoding="utf-8")).render(
                report.rows(study), isnan=math.isnan
            )
            for report in reports.values()
            if report.template is not None
        ],
        troubles=_troubles(study),
        setting=smaller_setting(study),
        claims=check_claims(study),
        tables=beside_tables(study),
        cuts=cuts(study),
        rates=rates(study),
        versions=_versions(study),
        file_name=f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', study.experiment).strip('._-') or 'experiment'}.yaml",
        remarks=_remarks,
        tasks_with_remarks={task for task, group in ranking_by_task.items() if any(map(_remarks, group))},
        isnan=math.isnan,
    )


def _summary(group: Sequence[RankedCondition]) -> str:
    """The conclusion for one task in one sentence."""
    first, *others = group
    if not first.scores:
        return f"{first.task}: no condition has a test score."
    name, scored = condition_label(first.condition), f"mean test {first.metric} {_mean_with_interval(first)}"
    if first.standing in ("did not learn", "diverged"):
        return f"{first.task}: no condition learned with every seed. {name} {first.standing}, with {scored}."
    alike = sum(ranked.standing == "indistinguishable" for ranked in others)
    if first.standing == "best":
        worse = sum(ranked.standing == "worse" for ranked in others)
        whom = "the other is" if len(others) == 1 else f"{worse} of {len(others)} others are"
        return f"{first.task}: {name} is best on the test examples, {scored}; {whom} significantly worse."
    if alike:
        whom = "the other is" if len(others) == 1 else f"{alike} of {len(others)} others are"
        conclusion = f"{whom} not significantly different"
        return f"{first.task}: no single best. {name} scored highest, {scored}; {conclusion}."
    if not others:
        return f"{first.task}: one condition ({name}), {scored}."
    return f"{first.task}: {name} scored highest, {scored}; the others could not be compared with it."


def _mean_with_interval(ranked: RankedCondition) -> str:
    if ranked.num_seeds == 1:
        return f"{score(ranked.test.mean)} (one seed: no interval)"
    if math.isnan(ranked.test.low):
        return f"{score(ranked.test.mean)} ({ranked.num_seeds} seeds with identical scores: no interval)"
    interval = f"{score(ranked.test.low)} to {score(ranked.test.high)}"
    return f"{score(ranked.test.mean)} (95 % interval {interval} over {ranked.num_seeds} seeds)"


def _columns(study: Study, task: str) -> dict[str, dict[str, str]]:
    """The columns that name a condition: its factors, or the full name if the factors are ambiguous."""
    conditions = conditions_by_task(study)[task]
    factors = varied_factors(variants_of(conditions))
    columns = {
        factor: {name: factor_label(variants[0], factor) for name, variants in conditions.items()}
        for factor in factors
    }
    values = {tuple(column[name] for column in columns.values()) for name in conditions}
    if columns and len(values) == len(conditions):
        return columns
    return {"condition": {name: condition_label(name) for name in conditions}}


class _Strip:
    """Positions of seeds, mean and interval of a condition on the axis of its task, 0 to 100."""

    def __init__(self, group: Sequence[RankedCondition]) -> None:
        scores = [score for ranked in group for score in ranked.scores]
        self.low, self.high = (min(scores), max(scores)) if scores else (0.0, 0.0)

    def position(self, score: float) -> float:
        share = (score - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return round(4 + 92 * min(max(share, -0.04), 1.04), 1)


def _remarks(ranked: RankedCondition) -> str:
    counts = {
        "diverged": ranked.num_diverged,
        "did not learn": ranked.num_not_learning,
        "stopped early": ranked.num_stopped,
        "failed": ranked.num_failed,
        "without a score": ranked.num_without_score,
    }
    remarks = [f"{count} {word}" for word, count in counts.items() if count]
    if ranked.num_cells > 1:
        remarks.append(f"covers {ranked.num_cells} grid cells")
    return ", ".join(remarks)


def _grouped(items: Iterable[Item], key: Callable[[Item], str]) -> list[tuple[str, list[Item]]]:
    return [(name, list(group)) for name, group in itertools.groupby(items, key)]


def _sections(
    figures: Mapping[str, Figure], measures: Mapping[str, Measure], reports: Mapping[str, MeasureReport]
) -> list[dict[str, object]]:
    """Figures by section and task, sections in order: measures, then extra sections of measure folders."""
    headings = dict(FIRST_SECTIONS)
    headings |= {name: (measure.title, measure.words) for name, measure in measures.items()}
    for report in reports.values():
        headings |= report.sections
    headings |= LAST_SECTIONS
    has_curves = {"learning", *measures}
    names_by_section: dict[str, list[str]] = {section: [] for section in headings}
    for name in figures:
        names_by_section[name.partition("/")[0]].append(name)
    number = {name: index for index, name in enumerate(figures)}
    return [
        {
            "title": headings[section][0],
            "words": _words(headings[section][1], names, has_curves=section in has_curves),
            "tasks": [
                (
                    task,
                    _num_columns(list(group)),
                    [
                        {"name": name, "svg": _svg(figures[name], f"figure-{number[name]}")}
                        for name in names
                        if name.split("/")[1] == task
                    ],
                )
                for task, group in _grouped(names, lambda name: name.split("/")[1])
            ],
        }
        for section, names in names_by_section.items()
        if names
    ]


def _words(words: str, names: Sequence[str], *, has_curves: bool) -> str:
    notes = [words]
    if has_curves:
        by_factor = {"/by_" in name for name in names}
        notes += [note for kind, note in CURVE_NOTES.items() if (kind == "by factor") in by_factor]
    return " ".join(filter(None, notes))


def _num_columns(names: Sequence[str]) -> int:
    """At most three columns, so that the figures of one metric fit in one row."""
    widths = Counter(name.rpartition("/by_")[0] for name in names if "/by_" in name)
    return {2: 2, 4: 2}.get(max(widths.values(), default=3), 3)


def _svg(figure: Figure, prefix: str) -> Markup:
    """The figure as inline SVG with unique ids and text in the colour of the page."""
    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "layerscope"}):
        nothing = dict.fromkeys(["Creator", "Date", "Format", "Type"])
        figure.savefig(buffer, format="svg", facecolor="none", dpi=150, metadata=nothing)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{prefix}-", svg)
    body = svg[svg.index(">") + 1 :]
    width, height = (round(72 * inches) for inches in figure.get_size_inches())
    title = Markup.escape(" ".join(figure.get_suptitle().split()))
    return Markup(f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{title}">{body}')


def _troubles(study: Study) -> list[Trouble]:
    names: dict[tuple[str, str], tuple[str, ...]] = {}
    for variant in study.variants:
        if variant.state in ("stopped", "failed", "blocked"):
            cause = variant.state, variant.reason or "no reason was recorded"
            name = f"{variant.task}: {condition_label(variant.condition)}, seed {variant.seed}"
            names[cause] = (*names.get(cause, ()), name)
    return [Trouble(state, reason, variants) for (state, reason), variants in names.items()]


def _versions(study: Study) -> dict[str, str]:
    """Package versions of the first variant that is done."""
    folders = (v.folders["finetune"] for v in study.variants if v.state == "done" and "finetune" in v.folders)
    folder = next((one for one in folders if (one / RECORD).exists()), None)
    return read_record(folder)["provenance"]["versions"] if folder else {}
