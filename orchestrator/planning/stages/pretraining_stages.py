"""Continued pretrainings as stages: texts in order, chains, and excluded test sets."""

from collections.abc import Iterable

from layerscope.jobs.specs.recipe import Pretraining
from layerscope.jobs.specs.stages import PretrainSpec
from layerscope.jobs.text.pretraining.pretraining_texts import CORPUS, TEST
from layerscope.orchestrator.experiment.experiment import Experiment, PretrainingSettings
from layerscope.orchestrator.experiment.rules.pretrainings import corpora_of, name_and_step
from layerscope.orchestrator.planning.plan import Stage, make_stage
from layerscope.orchestrator.planning.sources.encoder_folders import LocatedEncoder
from layerscope.orchestrator.planning.sources.sources import Sources
from layerscope.orchestrator.planning.stages.view_stages import whole_texts


def pretraining_stage(
    experiment: Experiment, sources: Sources, encoder: LocatedEncoder, task: str, name: str
) -> Stage[PretrainSpec]:
    """A continued pretraining for a task; tasks with the same texts share one stage."""
    pretraining = experiment.pretraining[name]
    everything = {**sources.tasks, **sources.corpora}
    views = {one: whole_texts(experiment, source, encoder) for one, source in everything.items()}
    parents = _numbered(CORPUS, [views[one] for one in corpora_of(experiment, pretraining, task)])
    parents |= _numbered(TEST, [views[one] for one in sources.tasks])
    if pretraining.after is not None:
        parents["encoder"] = pretraining_stage(experiment, sources, encoder, task, pretraining.after)
    spec = PretrainSpec(encoder=encoder.digest, training=_training(pretraining))
    return make_stage(spec, parents=parents, files={"encoder": str(encoder.folder)})


def snapshot_of(experiment: Experiment, start: str) -> int | None:
    """The step that a recipe's start names; nothing for the last one."""
    name, step = name_and_step(start)
    return None if step is None or step == experiment.pretraining[name].steps else step


def _numbered(prefix: str, stages: Iterable[Stage]) -> dict[str, Stage]:
    """Roles that do not depend on the order or the names in the experiment."""
    by_key = {stage.key: stage for stage in stages}
    return {f"{prefix}{number}": by_key[key] for number, key in enumerate(sorted(by_key))}


def _training(pretraining: PretrainingSettings) -> Pretraining:
    fields = {name: getattr(pretraining, name) for name in Pretraining.model_fields}
    kept = sorted(set(pretraining.snapshots) - {pretraining.steps})
    return Pretraining(**fields | {"snapshots": tuple(kept)})
