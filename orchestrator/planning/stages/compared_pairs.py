"""Pairs of variants whose layers are compared: they differ in the seed, the recipe or the task alone."""

from bisect import bisect
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import replace

from layerscope.jobs.measures.similarity.specs import BETWEEN, Between, SimilaritySpec
from layerscope.orchestrator.experiment.experiment import Experiment
from layerscope.orchestrator.experiment.variants import Variant
from layerscope.orchestrator.planning.plan import PlannedVariant, Stage, make_stage
from layerscope.orchestrator.planning.sources.sources import Sources
from layerscope.orchestrator.planning.stages.measure_stages import probed_examples, states_of
from layerscope.orchestrator.planning.stages.pretraining_stages import snapshot_of

Planned = tuple[Variant, PlannedVariant]


def with_pairs(experiment: Experiment, sources: Sources, planned: Sequence[Planned]) -> list[PlannedVariant]:
    """The variants, the first of each pair with the roles `between/seeds/<seed>`,
    `between/conditions/<condition>` and `between/tasks/<texts>/<task>`, named after the second.

    Variants that are one run are one here, and models that are one are not compared: frozen encoders differ
    in no seed.
    """
    distinct: dict[str, Planned] = {}
    for variant, one in planned:
        distinct.setdefault(one.key, (variant, one))
    stages: dict[str, dict[str, Stage]] = {}
    for kind, first, second in pairs_of(experiment.measures.cka_between, list(distinct.values())):
        for role, examples in _compared(experiment, sources, kind, second):
            states, other = (_states(experiment, sources, each, examples) for each in (first, second))
            if states.parents.get("model") != other.parents.get("model") or states.files != other.files:
                stages.setdefault(first[1].key, {})[role] = _comparison(states, other)
    return [replace(one, stages=dict(one.stages) | stages.get(one.key, {})) for _, one in planned]


def pairs_of(
    kinds: Iterable[Between], planned: Sequence[Planned]
) -> Iterator[tuple[Between, Planned, Planned]]:
    """Every two that differ in what a kind names and in nothing else, each once, in the order given.

    Only variants that are equal in the rest meet, so without kinds none do.
    """
    alike: dict[tuple[Between, Hashable], list[int]] = {}
    for kind in kinds:
        for position, (variant, _) in enumerate(planned):
            alike.setdefault((kind, _rest(kind, variant)), []).append(position)
    for position, first in enumerate(planned):
        groups = [(kind, alike[kind, _rest(kind, first[0])]) for kind in kinds]
        seconds = [(other, kind) for kind, group in groups for other in group[bisect(group, position) :]]
        yield from ((kind, first, planned[other]) for other, kind in sorted(seconds))


def _comparison(states: Stage, other: Stage) -> Stage:
    spec = SimilaritySpec(measure="cka", against="other")
    return make_stage(spec, parents={"states": states, "other": other})


def _rest(kind: Between, variant: Variant) -> Hashable:
    """What the variants of a pair have in common."""
    match kind:
        case "seeds":
            return variant.task, variant.recipe
        case "conditions":
            return variant.task, variant.seed
        case "tasks":
            return variant.recipe, variant.seed


def _states(experiment: Experiment, sources: Sources, one: Planned, examples: Stage | None) -> Stage:
    """Those of a variant's model; on its own texts where no other examples are given."""
    variant, planned = one
    finetune, pretraining = planned.stages["finetune"], variant.recipe.pretraining
    model: Stage | None = finetune
    snapshot = None
    if finetune.kind == "feature_head":
        starts = [planned.stages[role] for role in ("multitask", "pretrain") if role in planned.stages]
        model = starts[0] if starts else None
        is_joint = pretraining in experiment.multi_task
        snapshot = None if pretraining == "none" or is_joint else snapshot_of(experiment, pretraining)
    return states_of(
        finetune.parents["data"] if examples is None else examples,
        model,
        encoder=sources.encoders[variant.recipe.encoder],
        recipe=variant.recipe,
        measures=experiment.measures,
        snapshot=snapshot,
    )


def _compared(
    experiment: Experiment, sources: Sources, kind: Between, second: Planned
) -> Iterator[tuple[str, Stage | None]]:
    """The roles of a pair, with the examples that both models read; none where they are the task's own."""
    other, planned = second
    if kind != "tasks":
        yield f"{BETWEEN.name}/{kind}/{other.seed if kind == 'seeds' else planned.condition}", None
        return
    encoder = sources.encoders[other.recipe.encoder]
    for texts, source in sources.probing.items():
        examples = probed_examples(source, encoder, other.recipe, experiment.measures)
        yield f"{BETWEEN.name}/tasks/{texts}/{other.task}", examples
