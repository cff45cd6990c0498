"""What a reader of the report should know of the further pretrainings: texts left out, and cautions."""

from collections.abc import Iterator

from layerscope.jobs.report.cautions import cautions_of
from layerscope.orchestrator.execution.scheduler import Schedule
from layerscope.orchestrator.experiment.rules.pretrainings import name_and_step
from layerscope.orchestrator.planning.plan import Stage


def pretraining_notes(schedule: Schedule) -> Iterator[str]:
    """Notes on the further pretrainings that are finished."""
    for stage in schedule.plan.stages().values():
        if stage.kind == "pretrain" and schedule.store.has(stage):
            metrics = schedule.store.record(stage)["metrics"]
            found = cautions_of(metrics)
            removed = metrics.get("train/overlap_removed", 0)
            if removed:
                found.insert(0, f"left out of training, as a test set has them too: {removed:.0f} texts")
            yield from (f"{_name(schedule, stage)}: {one}" for one in found)


def _name(schedule: Schedule, stage: Stage) -> str:
    """As variants name it; a link of a chain that no variant starts from has its key alone."""
    users = [
        variant
        for variant in schedule.plan.variants
        if "pretrain" in variant.stages and variant.stages["pretrain"].key == stage.key
    ]
    names = dict.fromkeys(name_and_step(str(variant.recipe["pretraining"]))[0] for variant in users)
    tasks = dict.fromkeys(variant.task for variant in users)
    told = f" ({', '.join(names)} of {', '.join(tasks)})" if users else ""
    return f"pretrain {stage.key}{told}"
