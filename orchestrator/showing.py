"""What commands say: stages and variants, as tables or as one JSON object, and how a run or export ended."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.reporting.study import Study
from jobs.specs.roles import BETWEEN
from jobs.text.pretraining_texts import CORPUS
from orchestrator.planning.measures import depth_note, labels_note
from orchestrator.planning.plan import PlannedVariant, Stage
from orchestrator.search.schedule import Schedule
from orchestrator.tracking.progress import counted
from orchestrator.tracking.tracker import redacted
from orchestrator.workspace import Workspace

if TYPE_CHECKING:
    from jobs.model_card import Facts
    from orchestrator.running import Outcome

STATE_SHOWN = {
    "stored": "stored",
    "todo": "todo",
    "blocked": "blocked",
    "stopped": "stored",
    "unneeded": "stored",
}
LISTED_KINDS = ("prepare", "annotate", "pretrain", "multitask", "features", "finetune", "feature_head")
"""Kinds of which every stage has a line in the plan; of the others only their number is shown."""


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
    """The plan: one line a stage, or a kind of measure, and what it all may take."""
    shared = schedule.plan.num_variants_by_key()
    seconds = usual_seconds(schedule)
    stages = list(schedule.plan.stages().values())
    lines = [("kind", "key", "state", "variants", "about", "what, and why")]
    for stage in [one for one in stages if all_stages or one.kind in LISTED_KINDS]:
        state = _state(schedule, stage)
        cost = f"{seconds[stage.kind]:.1f} s" if stage.kind in seconds and state != "stored" else ""
        what = f"{_describe(schedule, stage)}; {_reason(schedule, stage)}"
        lines.append((stage.kind, stage.key, state, str(shared[stage.key]), cost, what))
    if not all_stages:
        for kind in dict.fromkeys(one.kind for one in stages if one.kind not in LISTED_KINDS):
            states = [_state(schedule, one) for one in stages if one.kind == kind]
            counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
            lines.append((kind, counted(len(states), "stage"), "", "", "", counts))
    print(in_columns(lines))
    print(_summary(workspace, schedule, seconds))


def status_object(study: Study) -> dict[str, Any]:
    """Where every variant stands, as JSON."""
    return {
        "experiment": study.experiment,
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


def print_status(study: Study) -> None:
    """Where every variant stands."""
    lines = [("task", "condition", "seed", "state", "reason")]
    lines += [(one.task, one.condition, str(one.seed), one.state, one.reason) for one in study.variants]
    print(in_columns(lines))
    states = [variant.state for variant in study.variants]
    counts = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
    print(f"{counted(len(states), 'variant')}: {counts}" if states else "no variants yet")


def print_outcome(outcome: "Outcome", uri: str, store: Path) -> None:
    """What became of a run, and where it is shown."""
    stages = ", ".join(f"{number} {state}" for state, number in outcome.stages.items() if number)
    variants = ", ".join(f"{number} {state}" for state, number in outcome.variants.items() if number)
    print(f"stages: {stages}\nvariants: {variants}\nreport: {outcome.report}")
    if outcome.num_unpublished:
        print(f"{counted(outcome.num_unpublished, 'page')} not shown yet: see `layerscope publish`")
    elif uri.startswith("sqlite"):
        print(f"MLflow: layerscope ui --store {store}")
    else:
        print(f"MLflow: {redacted(uri)}")


def print_export(facts: "Facts", folder: Path) -> None:
    """What a model that was exported has lost, and what it saves."""
    saved = 1 - facts.parameters / facts.parameters_before
    print(
        f"{folder}: {facts.layers} of {facts.of_layers} layers, {facts.head} head, {facts.architecture}\n"
        f"{facts.metric} on {facts.texts} test texts: {facts.score:.4f}, before {facts.score_before:.4f}\n"
        f"parameters: {facts.parameters:,} of {facts.parameters_before:,} ({100 * saved:.1f} % saved)\n"
        f"milliseconds a text: {facts.milliseconds:.2f}, before {facts.milliseconds_before:.2f}\n"
        f"how to use it: {folder / 'README.md'}"
    )


def in_columns(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines
    )
    return "\n".join(line.rstrip() for line in padded)


def usual_seconds(schedule: Schedule) -> dict[str, float]:
    """Median seconds of a stage of each kind, from the records of the store."""
    kinds = {stage.kind for stage in schedule.plan.stages().values()}
    taken = {
        kind: [record["provenance"]["seconds"] for record in schedule.store.records(kind)] for kind in kinds
    }
    return {kind: statistics.median(values) for kind, values in taken.items() if values}


def _summary(workspace: Workspace, schedule: Schedule, seconds: Mapping[str, float]) -> str:
    todo = [stage for stage in schedule.plan.stages().values() if _state(schedule, stage) != "stored"]
    total = len(schedule.plan.stages())
    cells, runs = _num_cells(schedule), len(schedule.plan.variants)
    lines = [
        f"{counted(cells, 'cell')}, {counted(runs, 'run')}" if cells > runs else counted(runs, "variant")
    ]
    lines.append(f"{counted(total, 'stage')}: {total - len(todo)} stored, {len(todo)} to do")
    known = [seconds[stage.kind] for stage in todo if stage.kind in seconds]
    if known:
        lines.append(f"about {sum(known) / 60:.1f} minutes of work, by what such stages took before")
    if note := depth_note(workspace.experiment, schedule.plan.variants):
        lines.append(note)
    if note := labels_note(workspace.experiment, schedule.plan.variants):
        lines.append(note)
    lines += workspace.sources.notes
    if workspace.experiment.search is not None:
        trials = counted(workspace.experiment.search.trials, "condition")
        lines.append(f"a search proposes up to {trials} while it runs")
    return "\n".join(lines)


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
            return "in the store"
        case "unneeded":
            return "what rests on it is stored"
        case "todo" if ended is not None and ended[0] == "failed":
            return f"will be tried again: {ended[1]}"
        case "todo":
            waits = [parent.kind for parent in stage.parents.values() if schedule.state(parent) != "stored"]
            return f"after {', '.join(dict.fromkeys(waits))}" if waits else "can start"
        case _:
            return schedule.reason(stage)


def _describe(schedule: Schedule, stage: Stage) -> str:
    """What a reader would call the stage."""
    variants = schedule.plan.variants
    # A pair rests on another variant's stages too, which are that one's.
    users = [one for one in variants if stage.key in _keys_of(one, pairs=False)]
    users = users or [one for one in variants if stage.key in _keys_of(one, pairs=True)]
    tasks = ", ".join(dict.fromkeys(variant.task for variant in users))
    match stage.kind:
        case "prepare":
            length = stage.spec.max_length
            view = "whole texts" if length is None else f"{stage.spec.truncation} to {length} tokens"
            view = "a corpus" if stage.spec.text_only else view
            return f"{tasks}: {view}"
        case "annotate":
            return f"{tasks}: sentences of at most {stage.spec.max_length} tokens"
        case "pretrain":
            return f"{tasks}: {_described_pretraining(stage)}"
        case "multitask":
            joined = [role.removeprefix("data/") for role in stage.parents if role.startswith("data/")]
            return f"{tasks}: joint training of {', '.join(joined)}, {stage.spec.training.sampling}"
        case "features":
            return f"{tasks}: token states of layers {', '.join(map(str, stage.spec.layers))}"
        case "finetune" | "feature_head":
            cells = f" ({users[0].num_cells} cells)" if users[0].num_cells > 1 else ""
            return f"{tasks}: {users[0].condition} seed={users[0].seed}{cells}"
        case "extract":
            return f"{tasks}: {_model(stage)}"
        case "cka":
            return f"{tasks}: against {stage.spec.against}"
        case "similarity":
            return f"{tasks}: {stage.spec.measure} against {stage.spec.against}"
        case _:
            return tasks


def _described_pretraining(stage: Stage) -> str:
    num_corpora = sum(role.startswith(CORPUS) for role in stage.parents)
    training = stage.spec.training
    parts = [f"{num_corpora} {'corpus' if num_corpora == 1 else 'corpora'}", counted(training.steps, "step")]
    parts += ["next sentences too"] if training.next_sentence else []
    parts += [f"after {stage.parents['encoder'].key}"] if "encoder" in stage.parents else []
    return ", ".join(parts)


def _model(stage: Stage) -> str:
    """Which model an extraction is of."""
    kind = stage.parents["model"].kind if "model" in stage.parents else None
    return {"finetune": "tuned", "random_encoder": "fresh weights"}.get(kind, "start")


def _keys_of(variant: PlannedVariant, *, pairs: bool) -> set[str]:
    keys: set[str] = set()
    waiting = [stage for role, stage in variant.stages.items() if pairs or not role.startswith(f"{BETWEEN}/")]
    while waiting:
        stage = waiting.pop()
        keys.add(stage.key)
        waiting += stage.parents.values()
    return keys
