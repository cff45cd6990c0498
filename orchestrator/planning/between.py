"""Pairs of variants whose layers are compared: they differ in the seed, the recipe or the task alone."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations

from jobs.specs.roles import BETWEEN
from orchestrator.experiment.experiment import Experiment
from orchestrator.experiment.variants import Variant
from orchestrator.planning.measures import probed_examples, states_of
from orchestrator.planning.plan import PlannedVariant, Stage
from orchestrator.planning.pretraining import snapshot_of
from orchestrator.planning.similarity import similarity_stage
from orchestrator.planning.sources import Sources

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
    for first, second in combinations(distinct.values(), 2):
        for role, examples in _compared(experiment, sources, first, second):
            states, other = (_states(experiment, sources, each, examples) for each in (first, second))
            if states.parents.get("model") != other.parents.get("model") or states.files != other.files:
                stages.setdefault(first[1].key, {})[role] = similarity_stage("cka", states, other)
    return [replace(one, stages=dict(one.stages) | stages.get(one.key, {})) for _, one in planned]


def _states(experiment: Experiment, sources: Sources, one: Planned, examples: Stage | None) -> Stage:
    """Those of a variant's model; on its own texts where no other examples are given."""
    variant, planned = one
    finetune, pretraining = planned.stages["finetune"], variant.recipe.pretraining
    model, snapshot = finetune, None
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
    experiment: Experiment, sources: Sources, first: Planned, second: Planned
) -> Iterator[tuple[str, Stage | None]]:
    """The roles of a pair, with the examples that both models read; none where they are the task's own."""
    (one, _), (other, planned) = first, second
    differing = {
        "seeds": one.seed != other.seed,
        "conditions": one.recipe != other.recipe,
        "tasks": one.task != other.task,
    }
    for kind in experiment.measures.cka_between:
        if [name for name, differs in differing.items() if differs] != [kind]:
            continue
        if kind == "tasks":
            encoder = sources.encoders[one.recipe.encoder]
            for texts, source in sources.probing.items():
                examples = probed_examples(source, encoder, one.recipe, experiment.measures)
                yield f"{BETWEEN}/tasks/{texts}/{other.task}", examples
        else:
            name = str(other.seed) if kind == "seeds" else planned.condition
            yield f"{BETWEEN}/{kind}/{name}", None
