"""Output of commands: stages and variants as tables or JSON, and summaries of a run or export."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerscope.jobs.measures.plugin.specs import PluginSpec
from layerscope.jobs.measures.similarity.specs import BETWEEN, CkaSpec, SimilaritySpec
from layerscope.jobs.report.study import Study
from layerscope.jobs.specs.annotations import TokeniseAnnotationsSpec
from layerscope.jobs.specs.features import FeatureHeadSpec, FeaturesSpec
from layerscope.jobs.specs.multitask import MultitaskSpec
from layerscope.jobs.specs.recipe import Pretraining
from layerscope.jobs.specs.stages import FinetuneSpec, PrepareSpec, PretrainSpec, TextStatesSpec
from layerscope.jobs.text.pretraining.pretraining_texts import CORPUS
from layerscope.orchestrator.execution.scheduler import Schedule
from layerscope.orchestrator.experiment.experiment import Experiment
from layerscope.orchestrator.experiment.variants import grid_cells
from layerscope.orchestrator.planning.plan import PlannedVariant, Stage, with_ancestors
from layerscope.orchestrator.planning.stages.measure_stages import lacking_notes
from layerscope.orchestrator.tracking.terminal import counted
from layerscope.orchestrator.tracking.tracker import redacted
from layerscope.orchestrator.workspace import Workspace

if TYPE_CHECKING:
    from layerscope.jobs.model_card import Facts
    from layerscope.orchestrator.outcome import Outcome
    from layerscope.orchestrator.search.cells import Progress
    from layerscope.orchestrator.tracking.tracker import Page

STATE_SHOWN = {
    "stored": "stored",
    "todo": "todo",
    "blocked": "blocked",
    "stopped": "stored",
    "unneeded": "stored",
}
LISTED_KINDS = (
    "prepare",
    "tokenise_annotations",
    "pretrain",
    "multitask",
    "features",
    "finetune",
    "feature_head",
)
"""Kinds whose stages are listed one by one in the plan; the others are counted."""


def plan_object(workspace: Workspace, schedule: Schedule) -> dict[str, Any]:
    """The plan as JSON."""
    shared = schedule.plan.num_variants_by_key()
    return {
        "experiment": workspace.experiment.experiment,
        "variants": len(schedule.plan.variants),
        "cells": _num_cells(schedule),
        "notes": list(workspace.sources.notes),
        "stages": [
            {
                "key": stage.key,
                "kind": stage.kind,
                "state": _state(schedule, stage),
                "reason": _reason(schedule, stage),
                "variants": shared[stage.key],
            }
            for stage in schedule.plan.stages().values()
        ],
    }


def print_plan(workspace: Workspace, schedule: Schedule, *, all_stages: bool) -> None:
    """The plan: one line per stage or kind of measure, and the estimated time."""
    shared = schedule.plan.num_variants_by_key()
    seconds = usual_seconds(schedule)
    stages = list(schedule.plan.stages().values())
    states = {stage.key: _state(schedule, stage) for stage in stages}
    users = users_by_key(schedule.plan.variants)
    lines = [("kind", "key", "state", "variants", "about", "what, and why")]
    for stage in [one for one in stages if all_stages or one.kind in LISTED_KINDS]:
        state = states[stage.key]
        cost = f"{seconds[stage.kind]:.1f} s" if stage.kind in seconds and state != "stored" else ""
        what = f"{_describe(stage, users[stage.key])}; {_reason(schedule, stage)}"
        lines.append((stage.kind, stage.key, state, str(shared[stage.key]), cost, what))
    if not all_stages:
        for kind in dict.fromkeys(one.kind for one in stages if one.kind not in LISTED_KINDS):
            of_kind = Counter(states[one.key] for one in stages if one.kind == kind)
            counts = ", ".join(f"{number} {state}" for state, number in of_kind.items())
            lines.append((kind, counted(of_kind.total(), "stage"), "", "", "", counts))
    print(in_columns(lines))
    todo = [stage for stage in stages if states[stage.key] != "stored"]
    print(_summary(workspace, schedule, seconds, todo))


def status_object(study: Study, search: "Sequence[Progress]" = ()) -> dict[str, Any]:
    """State of every variant and progress of each search, as JSON."""
    return {
        "experiment": study.experiment,
        **({"search": [asdict(one) for one in search]} if search else {}),
        "variants": [
            {
                "task": variant.task,
                "condition": variant.condition,
                "seed": variant.seed,
                "key": variant.key,
                "state": variant.state,
                "reason": variant.reason,
                "cells": variant.num_cells,
            }
            for variant in study.variants
        ],
    }


def print_status(study: Study, search: "Sequence[Progress]" = ()) -> None:
    """State of every variant and progress of each search."""
    lines = [("task", "condition", "seed", "state", "reason")]
    lines += [(one.task, one.condition, str(one.seed), one.state, one.reason) for one in study.variants]
    print(in_columns(lines))
    states = [variant.state for variant in study.variants]
    counts = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
    print(f"{counted(len(states), 'variant')}: {counts}" if states else "no variants yet")
    print_search(search)


def print_search(search: "Sequence[Progress]") -> None:
    """Warnings about a search; empty if all its conditions were tried."""
    for sentence in filter(None, (one.sentence() for one in search)):
        print(sentence)


def print_outcome(outcome: "Outcome", uri: str, store: Path) -> None:
    """Summary of a run, and where to see it."""
    stages = ", ".join(f"{number} {state}" for state, number in outcome.stages.items() if number)
    variants = ", ".join(f"{number} {state}" for state, number in outcome.variants.items() if number)
    print(f"stages: {stages}\nvariants: {variants}\nreport: {outcome.report}")
    print_search(outcome.search)
    if outcome.num_unpublished:
        print(f"{counted(outcome.num_unpublished, 'page')} not sent to MLflow yet: see `layerscope publish`")
    elif uri.startswith("sqlite"):
        print(f"MLflow: layerscope ui --store {store}")
    else:
        print(f"MLflow: {redacted(uri)}")


def described_refusals(refused: "Mapping[str, Sequence[Page]]") -> str:
    """The pages that a tracker rejected, by reason."""
    lines = []
    for reason, pages in refused.items():
        lines.append(f"{counted(len(pages), 'page')} rejected: {reason}")
        lines += [f"  the {page.level} {page.name!r}" for page in pages]
    return "\n".join(lines)


def print_export(facts: "Facts", folder: Path) -> None:
    """Loss of score and savings of an exported model."""
    saved = 1 - facts.parameters / facts.parameters_before
    print(
        f"{folder}: {facts.layers} of {facts.of_layers} layers, {facts.head} head, {facts.architecture}\n"
        f"{facts.metric} on {facts.texts} test texts: {facts.score:.4f}, full: {facts.score_before:.4f}\n"
        f"parameters: {facts.parameters:,} of {facts.parameters_before:,} ({100 * saved:.1f} % saved)\n"
        f"milliseconds per text: {facts.milliseconds:.2f}, full: {facts.milliseconds_before:.2f}\n"
        f"usage: {folder / 'README.md'}"
    )


def in_columns(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines
    )
    return "\n".join(line.rstrip() for line in padded)


def users_by_key(variants: Sequence[PlannedVariant]) -> dict[str, list[PlannedVariant]]:
    """The variants that need each stage.

    A pair also depends on the other variant's stages; these count for the other variant.
    """
    own, paired = defaultdict(list), defaultdict(list)
    for variant in variants:
        pairs = {role: one for role, one in variant.stages.items() if role.startswith(f"{BETWEEN.name}/")}
        for key in with_ancestors(one for role, one in variant.stages.items() if role not in pairs):
            own[key].append(variant)
        for key in with_ancestors(pairs.values()):
            paired[key].append(variant)
    return paired | own


def usual_seconds(schedule: Schedule) -> dict[str, float]:
    """Median seconds of a stage of each kind, from the records of the store."""
    kinds = {stage.kind for stage in schedule.plan.stages().values()}
    taken = {
        kind: [record["provenance"]["seconds"] for record in schedule.store.records(kind)] for kind in kinds
    }
    return {kind: statistics.median(values) for kind, values in taken.items() if values}


def _summary(
    workspace: Workspace, schedule: Schedule, seconds: Mapping[str, float], todo: Sequence[Stage]
) -> str:
    total = len(schedule.plan.stages())
    cells, runs = _num_cells(schedule), len(schedule.plan.variants)
    lines = [
        f"{counted(cells, 'cell')}, {counted(runs, 'run')}" if cells > runs else counted(runs, "variant")
    ]
    lines.append(f"{counted(total, 'stage')}: {total - len(todo)} stored, {len(todo)} to do")
    known = [seconds[stage.kind] for stage in todo if stage.kind in seconds]
    if known:
        lines.append(f"about {sum(known) / 60:.1f} minutes of compute, estimated from earlier stages")
    lines += lacking_notes(workspace.experiment, schedule.plan.variants, declared=workspace.sources.measures)
    lines += workspace.sources.notes
    if workspace.experiment.search is not None:
        lines.append(_announced_search(workspace.experiment))
    return "\n".join(lines)


def _announced_search(experiment: Experiment) -> str:
    from layerscope.orchestrator.search.cells import most_conditions

    assert experiment.search is not None
    most, trials = most_conditions(experiment), experiment.search.trials
    studies = len(experiment.tasks) * len(grid_cells(experiment))
    each = f" for each of {studies} combinations of task and grid cell" if studies > 1 else ""
    text = f"the search samples up to {counted(trials, 'condition')}{each} while it runs"
    return text if most is None or most >= trials else f"{text}; the search space has at most {most}"


def _num_cells(schedule: Schedule) -> int:
    return sum(variant.num_cells for variant in schedule.plan.variants)


def _state(schedule: Schedule, stage: Stage) -> str:
    ended = schedule.store.outcome(stage)
    if schedule.state(stage) == "todo" and ended is not None and ended[0] == "failed":
        return "failed"
    return STATE_SHOWN[schedule.state(stage)]


def _reason(schedule: Schedule, stage: Stage) -> str:
    ended = schedule.store.outcome(stage)
    match schedule.state(stage):
        case "stored":
            return "cached"
        case "unneeded":
            return "not needed: everything that depends on it is cached"
        case "todo" if ended is not None and ended[0] == "failed":
            return f"will be retried: {ended[1]}"
        case "todo":
            waits = [parent.kind for parent in stage.parents.values() if schedule.state(parent) != "stored"]
            return f"after {', '.join(dict.fromkeys(waits))}" if waits else "ready"
        case _:
            return schedule.reason(stage)


def _describe(stage: Stage, users: Sequence[PlannedVariant]) -> str:
    """Short description of the stage."""
    tasks = ", ".join(dict.fromkeys(variant.task for variant in users))
    match stage.spec:
        case PrepareSpec(max_length=length) as spec:
            view = "whole texts" if length is None else f"{spec.truncation} to {length} tokens"
            view = "a corpus" if spec.text_only else view
            return f"{tasks}: {view}"
        case TokeniseAnnotationsSpec(max_length=length):
            return f"{tasks}: sentences of at most {length} tokens"
        case PretrainSpec(training=training):
            return f"{tasks}: {_described_pretraining(stage, training)}"
        case MultitaskSpec(training=training):
            joined = [role.removeprefix("data/") for role in stage.parents if role.startswith("data/")]
            return f"{tasks}: joint training of {', '.join(joined)}, {training.sampling}"
        case FeaturesSpec(layers=layers):
            return f"{tasks}: token states of layers {', '.join(map(str, layers))}"
        case FinetuneSpec() | FeatureHeadSpec():
            cells = f" ({users[0].num_cells} cells)" if users[0].num_cells > 1 else ""
            return f"{tasks}: {users[0].condition} seed={users[0].seed}{cells}"
        case TextStatesSpec():
            return f"{tasks}: {_model(stage)}"
        case CkaSpec(against=against):
            return f"{tasks}: against {against}"
        case SimilaritySpec(measure=measure, against=against):
            return f"{tasks}: {measure} against {against}"
        case PluginSpec(name=name):
            return f"{tasks}: {name}"
        case _:
            return tasks


def _described_pretraining(stage: Stage, training: Pretraining) -> str:
    num_corpora = sum(role.startswith(CORPUS) for role in stage.parents)
    parts = [f"{num_corpora} {'corpus' if num_corpora == 1 else 'corpora'}", counted(training.steps, "step")]
    parts += ["with next-sentence prediction"] if training.next_sentence else []
    parts += [f"after {stage.parents['encoder'].key}"] if "encoder" in stage.parents else []
    return ", ".join(parts)


def _model(stage: Stage) -> str:
    """The model whose states are extracted."""
    kind = stage.parents["model"].kind if "model" in stage.parents else ""
    return {"finetune": "tuned", "random_encoder": "random init"}.get(kind, "start")
