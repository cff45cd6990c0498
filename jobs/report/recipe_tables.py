"""What recipes did to texts and learning rates: tokens cut away, and the rate of each group of parameters."""

from dataclasses import dataclass
from pathlib import Path

from layerscope.jobs.artifacts.parameter_groups import ParameterGroup, read_parameter_groups
from layerscope.jobs.artifacts.record import read_metrics
from layerscope.jobs.report.conditions import condition_label, conditions_by_task
from layerscope.jobs.report.study import Study, VariantResult

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Cut:
    """What one view kept of the texts of one split."""

    task: str
    view: str
    """How texts are cut, in words."""
    split: str
    num_texts: int
    num_cut: int
    tokens: int
    """Kept, special tokens included."""
    tokens_lost: int

    @property
    def share_lost(self) -> float:
        """Part of all tokens."""
        return self.tokens_lost / max(self.tokens + self.tokens_lost, 1)


@dataclass(frozen=True)
class Rates:
    """The parameter groups of the conditions that have the same."""

    conditions: tuple[str, ...]
    groups: tuple[ParameterGroup, ...]


def cuts(study: Study) -> list[Cut]:
    """Each view of each task once, split by split; only those that are prepared."""
    found: dict[tuple[str, Path], list[Cut]] = {}
    for variant in study.variants:
        folder = variant.folders.get("view")
        if folder is not None and (variant.task, folder) not in found:
            found[variant.task, folder] = _cuts_of(variant, folder)
    return [cut for of in found.values() for cut in of]


def rates(study: Study) -> list[Rates]:
    """The groups of each condition with a finished run; conditions with the same groups stand together."""
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
    """The groups that a finished variant was trained with; none where it left no list of them."""
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
    of_head = f", {recipe['head_tokens']} of the head" if recipe.get("head_tokens") else ""
    return f"{truncation} to {recipe['max_length']} tokens{of_head}"
