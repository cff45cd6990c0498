"""Truncated tokens by view, and learning rate by parameter group."""

from dataclasses import dataclass
from pathlib import Path

from layerscope.jobs.artifacts.parameter_groups import ParameterGroup, read_parameter_groups
from layerscope.jobs.artifacts.record import read_metrics
from layerscope.jobs.report.conditions import condition_label, conditions_by_task
from layerscope.jobs.report.study import Study, VariantResult

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Cut:
    """Truncation of one split in one view."""

    task: str
    view: str
    """The truncation, in words."""
    split: str
    num_texts: int
    num_cut: int
    tokens: int
    """Kept, special tokens included."""
    tokens_lost: int

    @property
    def share_lost(self) -> float:
        """Share of all tokens."""
        return self.tokens_lost / max(self.tokens + self.tokens_lost, 1)


@dataclass(frozen=True)
class Rates:
    """Conditions with identical parameter groups, and these groups."""

    conditions: tuple[str, ...]
    groups: tuple[ParameterGroup, ...]


def cuts(study: Study) -> list[Cut]:
    """Each prepared view of each task once, split by split."""
    found: dict[tuple[str, Path], list[Cut]] = {}
    for variant in study.variants:
        folder = variant.folders.get("view")
        if folder is not None and (variant.task, folder) not in found:
            found[variant.task, folder] = _cuts_of(variant, folder)
    return [cut for of in found.values() for cut in of]


def rates(study: Study) -> list[Rates]:
    """The groups of each condition with a finished run; conditions with identical groups are merged."""
    conditions: dict[tuple[ParameterGroup, ...], list[str]] = {}
    tasks = conditions_by_task(study)
    for task, by_name in tasks.items():
        for name, variants in by_name.items():
            groups = next(filter(None, map(parameter_groups, variants)), None)
            if groups is not None:
                label = condition_label(name)
                conditions.setdefault(groups, []).append(label if len(tasks) == 1 else f"{task}: {label}")
    return [Rates(tuple(names), groups) for groups, names in conditions.items()]


def parameter_groups(variant: VariantResult) -> tuple[ParameterGroup, ...]:
    """The parameter groups of a finished variant; empty if it wrote none."""
    if variant.state != "done" or "finetune" not in variant.folders:
        return ()
    return read_parameter_groups(variant.folders["finetune"])


def _cuts_of(variant: VariantResult, folder: Path) -> list[Cut]:
    metrics = read_metrics(folder)
    return [
        Cut(
            variant.task,
            _view_in_words(variant),
            split,
            *(int(metrics[f"{split}/{name}"]) for name in ("num_texts", "num_cut", "tokens", "tokens_lost")),
        )
        for split in SPLITS
        if f"{split}/num_texts" in metrics
    ]


def _view_in_words(variant: VariantResult) -> str:
    recipe = variant.recipe
    truncation = recipe.get("truncation", "whole")
    if truncation == "whole":
        return "whole"
    of_head = f", {recipe['head_tokens']} from the head" if recipe.get("head_tokens") else ""
    return f"{truncation} to {recipe['max_length']} tokens{of_head}"
