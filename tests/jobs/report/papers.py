"""Papers with one table or claim, and studies whose tests are planted to be held, not held or open."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from layerscope.jobs.report.paper.paper_recipes import StudyReference
from layerscope.jobs.report.study import Study, VariantResult
from layerscope.jobs.specs.references import Claim, Paper
from tests.jobs.report.studies import make_study, make_variant, write_predictions, write_record

TOPIC = {"topic": "topic"}


def reference(
    *,
    tables: Sequence[Mapping[str, Any]] = (),
    claims: Sequence[Mapping[str, Any]] = (),
    tasks: Mapping[str, str] = TOPIC,
    encoder: str = "tiny",
    num_layers: int | None = 4,
    **changes: Any,
) -> StudyReference:
    """A paper's reference; tables and claims are written as in a file."""
    written = {"paper": "known2020", "title": "What is known", "source": "nowhere"} | changes
    paper = Paper.model_validate(written | {"tables": tuple(tables), "claims": tuple(claims)}, strict=False)
    return StudyReference(paper, dict(tasks), encoders={"main": encoder}, num_layers=num_layers)


def claim(kind: str, **check: Any) -> dict[str, Any]:
    """One claim on every task."""
    tasks = check.pop("tasks", ())
    whole = {"claim": "a", "says": "It is so.", "source": "table 1", "tasks": tasks}
    written = whole | {"check": {"kind": kind} | check}
    return Claim.model_validate(written, strict=False).model_dump()


def variants(
    root: Path,
    num_right: int | Sequence[int],
    *,
    num_examples: int = 100,
    seeds: Sequence[int] = (0, 1),
    task: str = "topic",
    metrics: Mapping[str, float] = {},  # noqa: B006 - read only
    **recipe: object,
) -> list[VariantResult]:
    """Done variants of one condition that have so many of the examples right: the first, or those given."""
    right = range(num_right) if isinstance(num_right, int) else num_right
    correct = np.isin(np.arange(num_examples), list(right)).astype(int)
    return [
        write_predictions(
            write_record(
                make_variant(root, task=task, seed=seed, **recipe),
                test__accuracy=float(correct.mean()),
                **metrics,
            ),
            correct,
        )
        for seed in seeds
    ]


def study(known: StudyReference, *groups: list[VariantResult]) -> Study:
    """The study of these variants beside this paper."""
    return make_study(*(variant for group in groups for variant in group), reference=known)
