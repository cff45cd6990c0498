"""Locates and validates the external inputs of an experiment once: encoders, data, labels and lengths."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from layerscope.jobs.measures import MEASURES
from layerscope.jobs.specs.faults import Fault, Refused
from layerscope.orchestrator.errors import ConfigurationError, PrerequisiteMissing
from layerscope.orchestrator.experiment.experiment import (
    MAIN,
    EncoderSource,
    Experiment,
    encoder_fault,
    path_of_encoder,
)
from layerscope.orchestrator.experiment.tasks import Task
from layerscope.orchestrator.experiment.variants import possible_values
from layerscope.orchestrator.planning.checks.decoder_checks import decoder_faults
from layerscope.orchestrator.planning.checks.feature_checks import feature_faults
from layerscope.orchestrator.planning.checks.head_checks import head_faults
from layerscope.orchestrator.planning.checks.layer_checks import depth_faults
from layerscope.orchestrator.planning.checks.length_checks import length_faults
from layerscope.orchestrator.planning.checks.objective_checks import objective_faults
from layerscope.orchestrator.planning.checks.size_checks import size_faults
from layerscope.orchestrator.planning.checks.token_checks import (
    frame_faults,
    token_faults,
    tokenless_faults,
    unknown_notes,
)
from layerscope.orchestrator.planning.checks.window_checks import window_faults
from layerscope.orchestrator.planning.sources.encoder_folders import (
    FetchMlflow,
    LocatedEncoder,
    commit_fault,
    locate_encoder,
)
from layerscope.orchestrator.planning.sources.measure_plugins import plugins_of
from layerscope.orchestrator.planning.sources.own_metrics import own_metrics_of
from layerscope.orchestrator.planning.sources.sources import AnnotatedSource, Sources, TaskSource
from layerscope.orchestrator.planning.sources.task_data import look_at_corpus, look_at_task

Source = TypeVar("Source", bound=TaskSource | AnnotatedSource)
Written = TypeVar("Written", bound=Task)


def look_at(
    experiment: Experiment,
    *,
    memory: Path | None = None,
    fetch_mlflow: FetchMlflow | None = None,
    told: Callable[[Fault], str] = str,
) -> Sources:
    """Locate the encoders, and read and validate the data of every task.

    Args:
        memory: JSON file in which digests of large files are remembered.
        told: The message of a fault.

    Raises:
        ConfigurationError: data are missing or invalid, or an encoder lacks requested lengths or layers; the
            faults of all tasks at once.
        PrerequisiteMissing: an encoder is not found.
    """
    given = {MAIN: experiment.encoder} | experiment.encoders
    encoders = {
        str(name): _located(str(name), given[str(name)], told, fetch_mlflow=fetch_mlflow, memory=memory)
        for name in possible_values(experiment, "encoder")
    }
    faults: list[Fault] = []
    tasks = _looked_at("task", "tasks", look_at_task, experiment.tasks, faults)
    probing = _looked_at("task", "probing", look_at_task, experiment.probing, faults)
    corpora = _looked_at("corpus", "corpora", look_at_corpus, experiment.corpora, faults)
    seen = {
        name: source.texts
        for name, source in tasks.items()
        if isinstance(source, TaskSource) and source.texts is not None
    }
    num_train = {name: texts.num_train for name, texts in seen.items()} | {
        name: source.num_train
        for name, source in tasks.items()
        if isinstance(source, AnnotatedSource) and source.num_train is not None
    }
    faults += size_faults(experiment, num_train)
    unread = token_faults(encoders, [*tasks.values(), *probing.values(), *corpora.values()])
    faults += unread.values()
    for name, encoder in encoders.items():
        if name in unread:
            continue
        texts = {task: source for task, source in (probing | tasks).items() if isinstance(source, TaskSource)}
        exceeds = {task: partial(source.exceeds, encoder) for task, source in texts.items()}
        faults += list(decoder_faults(experiment, encoder, name)) or frame_faults(experiment, encoder, name)
        faults += tokenless_faults(encoder, probing | tasks | corpora)
        faults += objective_faults(experiment, encoder)
        faults += depth_faults(experiment, encoder, name)
        faults += length_faults(experiment, encoder, exceeds)
        faults += head_faults(experiment, encoder)
        for measure in MEASURES.values():
            faults += measure.faults(experiment.measures, encoder.facts, encoder.name)
        faults += window_faults(experiment, encoder, texts)
        faults += feature_faults(experiment, encoder, seen)
    plugins = plugins_of(experiment.measures.plugins, faults)
    own_metrics = own_metrics_of(experiment.tasks, faults)
    if faults:
        raise ConfigurationError("\n".join(map(told, dict.fromkeys(faults))))
    known = partial(_with_unknown, encoders=encoders.values())
    every = known(tasks), known(probing), known(corpora)
    return Sources(encoders, *every, {**MEASURES, **plugins}, own_metrics)


def _with_unknown(sources: Mapping[str, Source], encoders: Iterable[LocatedEncoder]) -> dict[str, Source]:
    """The sources with notes on texts that the encoders' tokenizers do not know."""
    return {
        name: replace(source, notes=(*source.notes, *unknown_notes(encoders, source)))
        for name, source in sources.items()
    }


def _located(
    name: str,
    source: EncoderSource,
    told: Callable[[Fault], str],
    *,
    fetch_mlflow: FetchMlflow | None,
    memory: Path | None,
) -> LocatedEncoder:
    """A located and validated encoder."""
    if message := commit_fault(source):
        raise ConfigurationError(told(Fault((*path_of_encoder(name), "revision"), message)))
    try:
        located = locate_encoder(source, fetch_mlflow=fetch_mlflow, memory=memory)
        _ = located.facts
    except PrerequisiteMissing as missing:
        raise PrerequisiteMissing(told(encoder_fault(name, str(missing)))) from missing
    except (ConfigurationError, ValueError) as error:
        raise ConfigurationError(told(encoder_fault(name, str(error)))) from error
    return located


def _looked_at(
    kind: str, part: str, look: Callable[[Written], Source], tasks: Iterable[Written], faults: list[Fault]
) -> dict[str, Source]:
    """The source of each valid task; other tasks add a fault, at a path or with their name."""
    found = {}
    for index, task in enumerate(tasks):
        try:
            found[task.task] = look(task)
        except Refused as refused:
            faults.append(replace(refused.fault, path=(part, index, *refused.fault.path)))
        except (ValueError, OSError) as error:
            faults.append(Fault((), f"{kind} {task.task}: {error}"))
    return found
