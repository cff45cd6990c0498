"""What an experiment rests on outside itself, looked at once: encoder, data, labels and lengths.

Bad rows are refused here, in the driver, before any process of a cluster starts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jobs.specs.stages import FilesData, HubData, SampleData
from jobs.text.corpora import Row, check_labels, digest, read_rows
from jobs.text.tokenizer import load_tokenizer
from jobs.text.truncation import any_exceeds
from orchestrator.errors import ConfigurationError
from orchestrator.experiment.experiment import Experiment, Files, Hub, Task
from orchestrator.planning.encoders import FetchMlflow, LocatedEncoder, locate_encoder
from orchestrator.planning.feature_stages import feature_faults
from orchestrator.planning.hub import resolve_revision
from orchestrator.planning.lengths import length_faults
from orchestrator.planning.task_texts import TaskTexts, texts_of, train_size_faults

READER_VERSION = 1
"""Raised by hand when the same file comes to be read differently."""


@dataclass(frozen=True)
class TaskSource:
    """A task's data as the planner sees it."""

    task: Task
    data: FilesData | HubData | SampleData
    data_version: int
    files: Mapping[str, str]
    """Paths of the splits by role."""
    exceeds: Callable[[int], bool]
    """Whether any text has more tokens than a limit; true where the texts were not looked at (Hub data)."""
    texts: TaskTexts | None = None
    """What the texts say; none where they were not looked at."""


@dataclass(frozen=True)
class Sources:
    """What an experiment rests on outside itself."""

    encoder: LocatedEncoder
    tasks: Mapping[str, TaskSource]


def look_at(
    experiment: Experiment, *, memory: Path | None = None, fetch_mlflow: FetchMlflow | None = None
) -> Sources:
    """Find the encoder, read and check the data of every task.

    Args:
        memory: JSON file in which digests of large files are remembered.

    Raises:
        ConfigurationError: data that is missing or has bad rows, or lengths that the encoder cannot take; the
            faults of all tasks at once.
        PrerequisiteMissing: the encoder is nowhere to be found.
    """
    encoder = locate_encoder(experiment.encoder, fetch_mlflow=fetch_mlflow, memory=memory)
    tasks, faults = {}, []
    for task in experiment.tasks:
        try:
            tasks[task.task] = _look_at_task(task, encoder)
        except (ValueError, OSError) as error:
            faults.append(f"task {task.task}: {error}")
    faults += length_faults(experiment, encoder, {name: source.exceeds for name, source in tasks.items()})
    texts_by_task = {name: source.texts for name, source in tasks.items() if source.texts is not None}
    faults += train_size_faults(experiment, texts_by_task)
    faults += feature_faults(experiment, encoder, texts_by_task)
    if faults:
        raise ConfigurationError("\n".join(faults))
    return Sources(encoder, tasks)


def _look_at_task(task: Task, encoder: LocatedEncoder) -> TaskSource:
    match task.data:
        case Files():
            return _look_at_files(task, task.data, encoder)
        case Hub():
            data = HubData(
                name=task.data.name,
                subset=task.data.subset,
                revision=resolve_revision(task.data.name, task.data.revision),
                train=task.data.train,
                test=task.data.test,
                validation=task.data.validation,
            )
            return TaskSource(task, data, READER_VERSION, {}, lambda limit: True)
        case SampleData():
            return _look_at_sample(task, task.data, encoder)


def _look_at_files(task: Task, files: Files, encoder: LocatedEncoder) -> TaskSource:
    written = {"train": files.train, "test": files.test, "validation": files.validation}
    paths = {role: Path(path).expanduser().absolute() for role, path in written.items() if path is not None}
    rows = {
        role: read_rows(path, text=task.columns.text, label=task.columns.label)
        for role, path in paths.items()
    }
    check_labels(rows, names={role: path.name for role, path in paths.items()})
    data = FilesData(**{role: digest(path) for role, path in paths.items()})
    located = {role: str(path) for role, path in paths.items()}
    texts = texts_of(task, rows, encoder)
    return TaskSource(task, data, READER_VERSION, located, _exceeds(rows, encoder), texts)


def _look_at_sample(task: Task, data: SampleData, encoder: LocatedEncoder) -> TaskSource:
    from jobs.text.sample_corpus import VERSION, sample_rows

    train, test = sample_rows(**data.model_dump(exclude={"source"}))
    rows = {"train": [Row(**row) for row in train], "test": [Row(**row) for row in test]}
    return TaskSource(task, data, VERSION, {}, _exceeds(rows, encoder), texts_of(task, rows, encoder))


def _exceeds(rows: Mapping[str, list[Row]], encoder: LocatedEncoder) -> Callable[[int], bool]:
    texts = [row.text for part in rows.values() for row in part]
    tokenizer = load_tokenizer(encoder.folder)
    return cache(lambda limit: any_exceeds(texts, tokenizer, limit))
