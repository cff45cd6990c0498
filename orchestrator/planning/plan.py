"""A plan: every stage that an experiment needs, each once, and the variants that need them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic

from typing_extensions import TypeVar

from layerscope.jobs.specs.spec import Spec
from layerscope.orchestrator.planning.fingerprint import stage_key

TRAINED_KINDS = ("pretrain", "multitask", "finetune", "feature_head")
"""Kinds whose stages run on a gang of processes; first those that variants wait for."""
VARIANT_KINDS = ("finetune", "feature_head")
"""Kinds of a variant's own training; each has the role finetune."""
START_ROLES = ("pretrain", "multitask")
"""Roles of the trainings that a variant's own training starts from; only run if it is needed."""


SpecT = TypeVar("SpecT", bound=Spec)
SpecT_co = TypeVar("SpecT_co", bound=Spec, covariant=True, default=Spec)


@dataclass(frozen=True)
class Stage(Generic[SpecT_co]):
    """A spec and its parents by role; resources are not part of it."""

    spec: SpecT_co
    key: str
    parents: Mapping[str, "Stage"] = field(default_factory=dict, repr=False)
    files: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Paths of external files by role; their digests are in the spec, the paths are not in the key."""
    limits: Mapping[str, float] = field(default_factory=dict, repr=False)
    """Limits of the stage by name; not in the key."""

    @property
    def kind(self) -> str:
        """Name of the module in `jobs` that computes it."""
        return self.spec.kind


def make_stage(
    spec: SpecT,
    *,
    parents: Mapping[str, Stage] | None = None,
    files: Mapping[str, str] | None = None,
    limits: Mapping[str, float] | None = None,
) -> Stage[SpecT]:
    """A stage with its key."""
    parents = dict(parents or {})
    key = stage_key(spec, {role: parent.key for role, parent in parents.items()})
    return Stage(spec, key, parents, dict(files or {}), dict(limits or {}))


@dataclass(frozen=True)
class PlannedVariant:
    """One recipe x task x seed with the stages it needs."""

    task: str
    seed: int
    recipe: Mapping[str, object]
    """Every factor; `truncation` is `whole` if no text is truncated."""
    condition: str
    """The factors that vary in the experiment; variants of one condition and task differ only in the seed."""
    stages: Mapping[str, Stage]
    """By role: finetune, and depending on the experiment pretrain, multitask, probe, probe/start, depth,
    ..."""
    num_cells: int = 1
    """Cells of the grid that are this variant because their views are identical."""

    @property
    def key(self) -> str:
        """Key of the finetune stage."""
        return self.stages["finetune"].key


@dataclass(frozen=True)
class Plan:
    """Variants, and through them every stage."""

    variants: tuple[PlannedVariant, ...]

    def stages(self) -> dict[str, Stage]:
        """Every stage by key, parents before children."""
        return dict(self._stages)

    @cached_property
    def _stages(self) -> dict[str, Stage]:
        return with_ancestors(stage for variant in self.variants for stage in variant.stages.values())

    def num_variants_by_key(self) -> dict[str, int]:
        """How many variants share each stage."""
        counts: dict[str, int] = {}
        for variant in self.variants:
            for key in with_ancestors(variant.stages.values()):
                counts[key] = counts.get(key, 0) + 1
        return counts


def with_ancestors(stages: Iterable[Stage]) -> dict[str, Stage]:
    """Stages and everything that they depend on by key, parents before children; each is visited once."""
    found: dict[str, Stage] = {}
    for stage in stages:
        _collect(stage, found)
    return found


def labels_of(variant: PlannedVariant) -> dict[str, Any]:
    """Variant information in a finetune stage's record; names, not in the key."""
    return {"task": variant.task, "seed": variant.seed, "recipe": dict(variant.recipe)}


def merge(variants: Iterable[PlannedVariant]) -> Plan:
    """A plan in which variants with one finetune stage are one variant with several cells."""
    merged: dict[str, PlannedVariant] = {}
    for variant in variants:
        seen = merged.get(variant.key)
        cells = variant.num_cells + (seen.num_cells if seen else 0)
        first = seen or variant
        merged[variant.key] = PlannedVariant(
            first.task, first.seed, first.recipe, first.condition, first.stages, cells
        )
    return Plan(tuple(merged.values()))


def _collect(stage: Stage, found: dict[str, Stage]) -> None:
    if stage.key in found:
        return
    for parent in stage.parents.values():
        _collect(parent, found)
    found[stage.key] = stage
