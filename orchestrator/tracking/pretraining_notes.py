"""Report notes on continued pretraining: excluded texts and warnings."""

from collections.abc import Iterator

from layerscope.jobs.report.cautions import cautions_of
from layerscope.orchestrator.execution.scheduler import Schedule
from layerscope.orchestrator.experiment.rules.pretrainings import name_and_step
from layerscope.orchestrator.planning.plan import Stage


def pretraining_notes(schedule: Schedule) -> Iterator[str]:
    """Notes on the finished continued pretrainings."""
    for stage in schedule.plan.stages().values():
        if stage.kind == "pretrain" and schedule.store.has(stage):
            metrics = schedule.store.record(stage)["metrics"]
            found = cautions_of(metrics)
            removed = metrics.get("train/overlap_removed", 0)
            if removed:
                found.insert(0, f"{removed:.0f} texts were excluded because they are also in a test set")
            yield from (f"{_name(schedule, stage)}: {one}" for one in found)


def _name(schedule: Schedule, stage: Stage) -> str:
    """The name used by variants; an intermediate pretraining that no variant uses has only its key."""
    users = [
        variant
        for variant in schedule.plan.variants
        if "pretrain" in variant.stages and variant.stages["pretrain"].key == stage.key
    ]
    names = dict.fromkeys(name_and_step(str(variant.recipe["pretraining"]))[0] for variant in users)
    tasks = dict.fromkeys(variant.task for variant in users)
    told = f" ({', '.join(names)} of {', '.join(tasks)})" if users else ""
    return f"pretrain {stage.key}{told}"
