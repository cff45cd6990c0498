"""Builds the current study, for the report and the tracker, from a schedule and the store."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from layerscope.jobs.measures import MEASURES
from layerscope.jobs.report.study import State, Study, VariantResult
from layerscope.jobs.specs.measure import Measure
from layerscope.jobs.specs.targets import Metric
from layerscope.orchestrator.execution.scheduler import Schedule
from layerscope.orchestrator.experiment.experiment import Experiment
from layerscope.orchestrator.experiment.reading import resolved_yaml
from layerscope.orchestrator.planning.plan import VARIANT_KINDS, PlannedVariant, Stage
from layerscope.orchestrator.planning.sources.encoder_folders import LocatedEncoder
from layerscope.orchestrator.planning.stages.measure_stages import lacking_notes
from layerscope.orchestrator.tracking.pretraining_notes import pretraining_notes
from layerscope.orchestrator.tracking.reference import study_reference
from layerscope.orchestrator.tracking.terminal import counted

STATE_BY_STAGE: Mapping[str, State] = {
    "stored": "done",
    "computed": "done",
    "running": "running",
    "stopped": "stopped",
    "failed": "failed",
    "blocked": "blocked",
    "todo": "todo",
    "unneeded": "todo",
}


def stand(
    experiment: Experiment,
    schedule: Schedule,
    *,
    encoders: Mapping[str, LocatedEncoder],
    measures: Mapping[str, Measure] = MEASURES,
    own_metrics: Mapping[str, Metric] = {},
    search_notes: Iterable[str] = (),
) -> Study:
    """Every variant with its state and existing artifacts.

    Args:
        search_notes: Warnings about a search.
    """
    return Study(
        experiment=experiment.experiment,
        description=experiment.description,
        encoder=", ".join(dict.fromkeys(encoder.name for encoder in encoders.values())),
        yaml=resolved_yaml(experiment),
        metric_by_task={task.task: task.metric_name for task in experiment.tasks},
        variants=tuple(_variant(schedule, variant) for variant in schedule.plan.variants),
        notes=(*search_notes, *_notes(experiment, schedule, measures)),
        reference=study_reference(experiment, encoders),
        plugins={name: measure for name, measure in measures.items() if name not in MEASURES},
        own_metrics=own_metrics,
    )


def _variant(schedule: Schedule, variant: PlannedVariant) -> VariantResult:
    state, reason = _state(schedule, variant.stages["finetune"])
    return VariantResult(
        condition=variant.condition,
        task=variant.task,
        seed=variant.seed,
        recipe=variant.recipe,
        key=variant.key,
        state=state,
        reason=reason,
        num_cells=variant.num_cells,
        folders=_folders(schedule, variant, state),
    )


def _state(schedule: Schedule, stage: Stage) -> tuple[State, str]:
    """A stage that failed in an earlier run and will be retried is shown as failed."""
    state, reason = STATE_BY_STAGE[schedule.state(stage)], schedule.reason(stage)
    ended = schedule.store.outcome(stage)
    if state == "todo" and ended is not None:
        return ended
    return state, reason


def _folders(schedule: Schedule, variant: PlannedVariant, state: State) -> dict[str, Path]:
    store = schedule.store
    folders = {role: store.folder(stage) for role, stage in variant.stages.items() if store.has(stage)}
    view = _view(variant.stages["finetune"])
    if view is not None and store.has(view):
        folders["view"] = store.folder(view)
    if state in ("running", "stopped"):
        folders["finetune"] = store.scratch_path(variant.stages["finetune"])
    return folders


def _view(stage: Stage) -> Stage | None:
    """The tokenised texts that a stage depends on, directly or through parents; not a pretraining corpus."""
    sources = [parent for role, parent in stage.parents.items() if role != "encoder"]
    prepared = (parent for parent in sources if parent.kind == "prepare")
    return next(prepared, next(filter(None, map(_view, sources)), None))


def _notes(experiment: Experiment, schedule: Schedule, measures: Mapping[str, Measure]) -> list[str]:
    variants = schedule.plan.variants
    frozen = [one for one in variants if one.stages["finetune"].kind == "feature_head"]
    tuned = [one for one in variants if one.stages["finetune"].kind != "feature_head"]
    cells, runs = sum(variant.num_cells for variant in tuned), len(tuned)
    notes = []
    if cells > runs:
        notes.append(
            f"{cells} grid cells are {runs} runs, because cells with the same effective recipe are merged: "
            "all truncations if no text exceeds the limit (truncation=whole), layer pooling if one layer is "
            "read, continued pretrainings on the same texts."
        )
    notes += pretraining_notes(schedule)
    notes += [f"{note[0].upper()}{note[1:]}." for note in lacking_notes(experiment, tuned, declared=measures)]
    if frozen:
        of_cells = sum(variant.num_cells for variant in frozen)
        notes.append(
            f"Heads on frozen features are trained in {counted(len(frozen), 'run')} "
            f"({counted(of_cells, 'cell')}): the measured layers are those of the base model, and "
            "factors shown as None have no effect."
        )
    for stage in schedule.plan.stages().values():
        if stage.kind not in VARIANT_KINDS and schedule.state(stage) == "failed":
            notes.append(f"{stage.kind} {stage.key} failed: {schedule.reason(stage)}")
    return notes
