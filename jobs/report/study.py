"""A study: each variant, its current state, and its artifact folders."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from layerscope.jobs.report.paper.paper_recipes import StudyReference
from layerscope.jobs.specs.measure import Measure
from layerscope.jobs.specs.targets import Metric, metric_named

State = Literal["done", "running", "stopped", "failed", "blocked", "todo"]

NOT_MEASURES = ("finetune", "pretrain", "multitask", "view")
"""Roles whose curves, if any, do not run over layers."""


@dataclass(frozen=True)
class VariantResult:
    """One recipe x task x seed, and where its artifacts are."""

    condition: str
    """The factors that vary in this study, as `layer_decay=0.9 truncation=head`; variants that share task and
    condition differ only in their seed."""
    task: str
    seed: int
    recipe: Mapping[str, object]
    """Every factor of the recipe, varied or not."""
    key: str
    """Key of the finetune stage."""
    state: State
    reason: str = ""
    """Why it failed, was stopped or is blocked; empty otherwise."""
    num_cells: int = 1
    """Grid cells that collapsed into this variant because their views are identical."""
    folders: Mapping[str, Path] = field(default_factory=dict)
    """Existing artifact folders by role: `finetune`, `pretrain`, `probe`, `depth`, `cka/start`,
    `cka/within`; `view` is the tokenised texts that it was fine-tuned on.
    While a variant runs, `finetune` is its temporary folder, with curves and no record."""


@dataclass(frozen=True)
class Study:
    """Everything that the report and the tracker show of one experiment."""

    experiment: str
    description: str
    encoder: str
    yaml: str
    """The resolved experiment, as YAML."""
    metric_by_task: Mapping[str, str]
    """The test metric of each task, as `accuracy`."""
    variants: tuple[VariantResult, ...]
    notes: tuple[str, ...] = ()
    """Notes at the top of the report: collapsed views, failures, stopped variants."""
    reference: StudyReference | None = None
    """The paper that the study is compared with."""
    plugins: Mapping[str, Measure] = field(default_factory=dict)
    """Plug-in measures, by name."""
    own_metrics: Mapping[str, Metric] = field(default_factory=dict)
    """Plug-in metrics, by name."""

    def metric(self, name: str) -> Metric:
        """A metric of a test score, as `accuracy`. Raises ValueError for one that is not known."""
        return self.own_metrics[name] if name in self.own_metrics else metric_named(name)

    def metric_on_layers(self, task: str) -> str:
        """The metric by which layers are scored: the task's, or a built-in one where that is a plug-in."""
        metric = self.metric(self.metric_by_task[task])
        return metric.on_layers or metric.name


def shown_name(role: str, metric: str) -> str:
    """The metric's name among those of all stages: `probe/start/accuracy`; metrics of fine-tuning have no
    prefix."""
    return metric if role == "finetune" else f"{role}/{metric}"


def training_end(metrics: Mapping[str, float]) -> Literal["learned", "did not learn", "diverged"]:
    """How a finished training ended, by its metrics; `learned` if they lack both flags."""
    if metrics.get("diverged", 0.0) == 1:
        return "diverged"
    return "did not learn" if metrics.get("learned", 1.0) == 0 else "learned"
