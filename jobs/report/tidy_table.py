"""The tidy table of a study: one row per score of each finished variant."""

import io
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Literal

from layerscope.jobs.artifacts.record import read_metrics
from layerscope.jobs.kernels.statistics.intervals import mean_interval
from layerscope.jobs.report.conditions import condition_label
from layerscope.jobs.report.paper.claims import CheckedClaim, claim_line
from layerscope.jobs.report.series import series_by_metric
from layerscope.jobs.report.study import Study, VariantResult
from layerscope.jobs.specs.roles import NOT_MEASURES
from layerscope.jobs.specs.targets import Metric, metric_named

Format = Literal["json", "md", "latex", "parquet"]


@dataclass(frozen=True)
class Row:
    """One score of one variant; only layer-wise measures have a layer (0: embeddings)."""

    condition: str
    seed: int
    task: str
    measure: str
    """`test` or `validation` for the variant's own scores, otherwise `probe`, `depth`, `cka`, ..."""
    layer: int | None
    metric: str
    value: float


def tidy_rows(study: Study) -> list[Row]:
    """All scores of the done variants, in the order of the experiment."""
    return [row for variant in study.variants if variant.state == "done" for row in _rows_of(variant)]


def format_rows(
    rows: Sequence[Row], format: Format, *, metric_of: Callable[[str], Metric] = metric_named
) -> str | bytes:
    """The rows as JSON objects or Parquet; in Markdown and LaTeX a summary of the test metrics over seeds.

    Values that are not finite are null in JSON. Raises ValueError for an unknown format.

    Args:
        metric_of: A test metric by its name.
    """
    match format:
        case "json":
            return json.dumps([_json_object(row) for row in rows], indent=2, ensure_ascii=False) + "\n"
        case "md":
            return _markdown(*_summary(rows, metric_of))
        case "latex":
            return _latex(*_summary(rows, metric_of))
        case "parquet":
            return _parquet(rows)
        case _:
            raise ValueError(f"unknown table format {format!r}: use json, md, latex or parquet.")


def format_claims(claims: Sequence[CheckedClaim]) -> str:
    """A Markdown table of claims, verdicts and evidence."""
    lines = []
    for checked in claims:
        says = f"{checked.claim.claim}: {checked.claim.says} ({checked.claim.source})"
        verdict, _, numbers = claim_line(checked).partition(": ")
        lines.append([says, verdict, numbers])
    return _markdown(["claim", "verdict", "evidence"], lines, num_words=3)


def _rows_of(variant: VariantResult) -> list[Row]:
    scores = read_metrics(variant.folders["finetune"]) if "finetune" in variant.folders else {}
    rows = [
        _row(variant, name, None, value)
        for name, value in scores.items()
        if name.startswith(("test/", "validation/"))
    ]
    for role, folder in variant.folders.items():
        if role not in NOT_MEASURES:
            for name, values in series_by_metric(folder, role).items():
                rows.extend(_row(variant, name, layer, value) for layer, value in values.items())
    return rows


def _row(variant: VariantResult, name: str, layer: int | None, value: float) -> Row:
    measure, _, metric = name.partition("/")
    return Row(variant.condition, variant.seed, variant.task, measure, layer, metric, value)


def _json_object(row: Row) -> dict[str, object]:
    return asdict(row) | {"value": row.value if math.isfinite(row.value) else None}


def _parquet(rows: Sequence[Row]) -> bytes:
    import pyarrow
    from pyarrow import parquet

    types = {"seed": pyarrow.int64(), "layer": pyarrow.int64(), "value": pyarrow.float64()}
    schema = pyarrow.schema([(f.name, types.get(f.name, pyarrow.string())) for f in fields(Row)])
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist([asdict(row) for row in rows], schema=schema), buffer)
    return buffer.getvalue()


def _summary(rows: Sequence[Row], metric_of: Callable[[str], Metric]) -> tuple[list[str], list[list[str]]]:
    """Header and lines: one line per condition and task, one column per test metric."""
    tests = [row for row in rows if row.measure == "test"]
    metrics = list(dict.fromkeys(row.metric for row in tests))
    lines = []
    for condition, task in dict.fromkeys((row.condition, row.task) for row in tests):
        own = [row for row in tests if (row.condition, row.task) == (condition, task)]
        scores = [
            _mean_with_bounds([row.value for row in own if row.metric == metric], metric_of(metric))
            for metric in metrics
        ]
        lines.append([condition_label(condition), task, str(len({row.seed for row in own})), *scores])
    return ["condition", "task", "seeds", *metrics], lines


def _mean_with_bounds(values: Sequence[float], metric: Metric) -> str:
    if not values:
        return ""
    if not all(map(math.isfinite, values)):
        return "diverged"
    interval = mean_interval(values, scale=metric.scale)
    if math.isnan(interval.high):
        return f"{interval.mean:.4f}"
    return f"{interval.mean:.4f} [{interval.low:.4f}, {interval.high:.4f}]"


def _markdown(header: list[str], lines: list[list[str]], *, num_words: int = 2) -> str:
    """The first columns are words, the others numbers."""
    rule = ["---" if column < num_words else "---:" for column in range(len(header))]
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in [header, rule, *lines]]
    return "".join(f"| {' | '.join(line)} |\n" for line in escaped)


LATEX_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        **{character: f"\\{character}" for character in "&%$#_{}"},
    }
)


def _latex(header: list[str], lines: list[list[str]]) -> str:
    """A booktabs tabular."""
    head, *body = (
        " & ".join(cell.translate(LATEX_ESCAPES) for cell in line) + r" \\" for line in [header, *lines]
    )
    columns = "ll" + "r" * (len(header) - 2)
    begin, end = rf"\begin{{tabular}}{{{columns}}}", r"\end{tabular}"
    return "\n".join([begin, r"\toprule", head, r"\midrule", *body, r"\bottomrule", end]) + "\n"
