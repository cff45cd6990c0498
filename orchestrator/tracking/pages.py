"""The pages of a study: the study, its conditions and its variants, built from the store.

All content, times included, is derived from the artifacts, so publishing twice adds nothing.
"""

import io
import json
import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, get_args

from layerscope.jobs.artifacts.curves import Point, read_curves
from layerscope.jobs.artifacts.parameter_groups import PARAMETER_GROUPS, ParameterGroup
from layerscope.jobs.artifacts.record import RECORD, read_metrics, read_record
from layerscope.jobs.kernels.statistics.intervals import mean_interval
from layerscope.jobs.report.paper.claims import check_claims, claim_line
from layerscope.jobs.report.recipe_tables import parameter_groups
from layerscope.jobs.report.study import State, Study, VariantResult, shown_name
from layerscope.jobs.specs.targets import Metric
from layerscope.orchestrator.tracking.tracker import Dataset, Page, Status

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRAINING_ROLES = ("finetune", "pretrain", "multitask")
"""Roles whose curves run over optimizer steps; all others run over layers."""
UNFINISHED = ("running", "todo")
LOGGED_TABLE = json.dumps([{"path": PARAMETER_GROUPS, "type": "table"}])
"""Tag that marks an artifact as a table in MLflow."""


@dataclass(frozen=True)
class _Shown:
    """A variant and the points of its page."""

    variant: VariantResult
    training: tuple[Point, ...]
    """Curves over optimizer steps."""
    summary: tuple[Point, ...]
    """Metrics of records at step 0, and curves over layers; averaged over seeds."""


def study_pages(
    study: Study,
    *,
    study_key: str,
    figures: "Mapping[str, Figure] | None" = None,
    live: bool = True,
    report_html: str | None = None,
) -> list[Page]:
    """Pages of the study, of each started condition and of each started variant, in this order.

    While the study is `live`, a mean is published once every seed has its value. Afterwards, unfinished
    variants are marked as killed, and means are over the available seeds. With the `figures` of the study,
    each variant also gets its similarity maps.
    """
    groups = _conditions(study)
    conditions = [
        _condition_page(study, study_key, group, live=live)
        for group in groups
        if any(shown.variant.state != "todo" for shown in group)
    ]
    variants = [
        _variant_page(study, study_key, shown, figures=figures is not None, live=live)
        for group in groups
        for shown in group
        if shown.variant.state not in ("todo", "blocked")
    ]
    page = _study_page(study, study_key, groups, conditions, live=live)
    if report_html is not None:
        page = replace(page, texts={**page.texts, "report.html": report_html})
    if figures is not None:
        page = replace(page, images=_images(figures))
    return [page, *conditions, *variants]


def _study_page(
    study: Study,
    study_key: str,
    groups: Sequence[Sequence[_Shown]],
    conditions: Sequence[Page],
    *,
    live: bool,
) -> Page:
    states = [variant.state for variant in study.variants]
    tags = {f"layerscope.variants.{state}": str(states.count(state)) for state in get_args(State)}
    tags["mlflow.note.content"] = "\n\n".join(
        [study.description, *(f"- {note}" for note in study.notes)]
    ).strip()
    if not live:
        tags |= {f"layerscope.claim.{each.claim.claim}": claim_line(each) for each in check_claims(study)}
    points = []
    if not live or not set(states).intersection(UNFINISHED):
        for task, metric in study.metric_by_task.items():
            best = _best(conditions, task, f"test/{metric}")
            if best is not None:
                name = f"test/{metric}" if len(study.metric_by_task) == 1 else f"test/{task}/{metric}"
                points.append(replace(best[1], metric=name))
                tags[f"layerscope.best.{task}"] = best[0].name
    began, ended = _span([shown for group in groups for shown in group])
    return Page(
        key=study_key,
        level="study",
        name=study.experiment,
        parent=None,
        status=_status(states, live=live),
        began=began,
        ended=ended,
        params={"encoder": study.encoder, "tasks": ", ".join(study.metric_by_task)},
        tags=tags,
        points=tuple(points),
        texts={"experiment.yaml": study.yaml, "environment.txt": _environment()},
    )


def _best(conditions: Iterable[Page], task: str, metric: str) -> tuple[Page, Point] | None:
    scores = [
        (page, point)
        for page in conditions
        if page.params["task"] == task
        for point in page.points
        if point.metric == metric and math.isfinite(point.value)
    ]
    return max(scores, key=lambda score: score[1].value, default=None)


def _condition_page(study: Study, study_key: str, group: Sequence[_Shown], *, live: bool) -> Page:
    first = group[0].variant
    states = [shown.variant.state for shown in group]
    settled = not live or not set(states).intersection(UNFINISHED)
    done = [shown for shown in group if shown.variant.state == "done"]
    means = _means(done, study.metric(study.metric_by_task[first.task]), partial=not live) if settled else ()
    reasons = [shown.variant.reason for shown in group if shown.variant.state in ("failed", "blocked")]
    began, ended = _span(group)
    return Page(
        key=_condition_key(study_key, first),
        level="condition",
        name=_condition_name(study, first),
        parent=study_key,
        status=_status(states, live=live),
        began=began,
        ended=ended,
        params=_params(first),
        tags={
            "layerscope.condition": first.condition,
            "layerscope.seeds": ", ".join(str(shown.variant.seed) for shown in group),
            "layerscope.seeds.done": str(len(done)),
            **({"layerscope.reason": "; ".join(dict.fromkeys(reasons))} if any(reasons) else {}),
        },
        points=means,
    )


def _means(done: Sequence[_Shown], tested: Metric, *, partial: bool) -> tuple[Point, ...]:
    """Means over seeds; with `partial`, also of metrics that only some seeds have."""
    points_by_place: dict[tuple[str, int], list[Point]] = {}
    for shown in done:
        for (metric, step), point in {(p.metric, p.step): p for p in shown.summary}.items():
            points_by_place.setdefault((metric, step), []).append(point)
    means = []
    for (metric, step), points in points_by_place.items():
        if partial or len(points) == len(done):
            values = [point.value for point in points]
            mean = Point(metric, step, max(point.time for point in points), fmean(values))
            means.append(mean)
            if metric == f"test/{tested.name}" and len(values) > 1 and math.isfinite(mean.value):
                interval = mean_interval(values, scale=tested.scale)
                for name, value in [
                    ("deviation", stdev(values)),
                    ("low", interval.low),
                    ("high", interval.high),
                ]:
                    if not math.isnan(value):
                        means.append(replace(mean, metric=f"{metric}/{name}", value=float(value)))
    return tuple(means)


def _variant_page(study: Study, study_key: str, shown: _Shown, *, figures: bool, live: bool) -> Page:
    variant = shown.variant
    images = {}
    if figures:
        from layerscope.jobs.study_report import variant_figures

        images = _images(variant_figures(variant))
    began, ended = _span([shown])
    groups = parameter_groups(variant)
    return Page(
        key=variant.key,
        level="variant",
        # Seed first: the run table truncates names, and the variants of a condition are adjacent.
        name=f"seed={variant.seed} {_condition_name(study, variant)}",
        parent=_condition_key(study_key, variant),
        status=_status([variant.state], live=live),
        began=began,
        ended=ended,
        params={**_params(variant), "seed": str(variant.seed)},
        tags={
            "layerscope.state": variant.state,
            "layerscope.condition": variant.condition,
            "layerscope.cells": str(variant.num_cells),
            **({"layerscope.reason": variant.reason} if variant.reason else {}),
            **({"mlflow.loggedArtifacts": LOGGED_TABLE} if groups else {}),
        },
        points=shown.training + shown.summary,
        texts={PARAMETER_GROUPS: _table(groups)} if groups else {},
        images=images,
        dataset=_dataset(variant),
    )


def _status(states: Sequence[State], *, live: bool) -> Status:
    """Status of one or many variants: stopped early counts as finished; failed only if no variant
    finished."""
    if set(states).intersection(UNFINISHED):
        return "running" if live else "killed"
    return "finished" if set(states).intersection(("done", "stopped")) else "failed"


def _span(variants: Iterable[_Shown]) -> tuple[float | None, float | None]:
    """Time of the first and of the last point."""
    times = [point.time for shown in variants for point in shown.training + shown.summary]
    return min(times, default=None), max(times, default=None)


def _conditions(study: Study) -> list[list[_Shown]]:
    groups: dict[tuple[str, str], list[_Shown]] = {}
    for variant in study.variants:
        groups.setdefault((variant.task, variant.condition), []).append(_shown(variant))
    return list(groups.values())


def _condition_key(study_key: str, variant: VariantResult) -> str:
    text = json.dumps([study_key, variant.task, variant.condition])
    return f"condition:{sha256(text.encode()).hexdigest()[:16]}"


def _condition_name(study: Study, variant: VariantResult) -> str:
    condition = variant.condition or "single recipe"
    return condition if len(study.metric_by_task) == 1 else f"{variant.task}: {condition}"


def _params(variant: VariantResult) -> dict[str, str]:
    factors = {
        name: value if isinstance(value, str) else json.dumps(value, default=str)
        for name, value in variant.recipe.items()
    }
    return {"task": variant.task, **factors}


def _shown(variant: VariantResult) -> _Shown:
    training: list[Point] = []
    summary: list[Point] = []
    for role, folder in variant.folders.items():
        if role == "view":  # it belongs to many variants and is older than they are
            continue
        curves = [replace(point, metric=shown_name(role, point.metric)) for point in read_curves(folder)]
        (training if role in TRAINING_ROLES else summary).extend(curves)
        curve_names = {point.metric for point in curves}
        time = _ended(folder)
        for metric, value in read_metrics(folder).items():
            name = shown_name(role, metric)
            # The curve's name at step 0 would put the best value before the first point.
            summary.append(Point(f"record/{name}" if name in curve_names else name, 0, time, float(value)))
    return _Shown(variant, tuple(training), tuple(summary))


def _ended(folder: Path) -> float:
    """Unix seconds at which the artifact was finished; 0 while it has no record."""
    path = folder / RECORD
    if not path.exists():
        return 0.0
    provenance = read_record(folder).get("provenance", {})
    if "started" not in provenance:
        return path.stat().st_mtime
    started = datetime.fromisoformat(provenance["started"])
    seconds: float = provenance.get("seconds", 0.0)
    return (started if started.tzinfo else started.replace(tzinfo=UTC)).timestamp() + seconds


def _dataset(variant: VariantResult) -> Dataset | None:
    """The data that the fine-tuning read: any parent in its record that is not a pretraining."""
    folder = variant.folders.get("finetune", Path())
    parents = read_record(folder).get("parents", {}) if (folder / RECORD).is_file() else {}
    sources: Mapping[str, str] = {role: key for role, key in parents.items() if role != "pretrain"}
    return next((Dataset(variant.task, key, f"{role}/{key}") for role, key in sorted(sources.items())), None)


def _table(groups: Sequence[ParameterGroup]) -> str:
    """As MLflow's `log_table` writes it."""
    columns = [column.name for column in fields(ParameterGroup) if column.compare]
    rows = [[getattr(group, column) for column in columns] for group in groups]
    return json.dumps({"columns": columns, "data": rows})


def _images(figures: "Mapping[str, Figure]") -> dict[str, bytes]:
    return {f"figures/{name}.png": _png(figure) for name, figure in figures.items()}


def _png(figure: "Figure") -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, facecolor="white", bbox_inches="tight")
    return buffer.getvalue()


@cache
def _environment() -> str:
    """The installed packages, as in `pip freeze`."""
    packages = sorted({f"{d.name}=={d.version}" for d in metadata.distributions()}, key=str.lower)
    return "\n".join([f"# Python {platform.python_version()} on {platform.platform()}", *packages, ""])
