"""What an experiment rests on outside itself, looked at once: encoders, data, labels and lengths.

Bad rows are refused here, in the driver, before any process of a cluster starts.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, assert_never

from jobs.specs.annotations import AnnotatedFilesData, SampleAnnotationsData
from jobs.specs.stages import FilesData, HubData, SampleData, target_of
from jobs.text.annotations import AnnotatedSentence, read_annotations
from jobs.text.corpora import Row, check_targets, digest, read_rows, sampled, sequences_of, with_last
from jobs.text.frames import frame_of
from jobs.text.span_rows import read_span_sentences
from jobs.text.splits import too_large_sample
from jobs.text.tokenizer import load_tokenizer
from jobs.text.truncation import any_exceeds
from orchestrator.errors import ConfigurationError, PrerequisiteMissing
from orchestrator.experiment.experiment import MAIN, EncoderSource, Experiment
from orchestrator.experiment.tasks import AnnotatedFiles, Corpus, Files, Hub, Task
from orchestrator.experiment.variants import possible_values
from orchestrator.planning.checkpoints import checkpoint_faults
from orchestrator.planning.decoders import decoder_faults
from orchestrator.planning.depths import depth_faults
from orchestrator.planning.encoders import FetchMlflow, LocatedEncoder, locate_encoder
from orchestrator.planning.feature_stages import feature_faults
from orchestrator.planning.heads import head_faults
from orchestrator.planning.hub import resolve_revision
from orchestrator.planning.lengths import length_faults
from orchestrator.planning.metrics import check_metric
from orchestrator.planning.objectives import objective_faults
from orchestrator.planning.similarity import similarity_faults
from orchestrator.planning.task_texts import TaskTexts, num_kept, texts_of, train_size_faults
from orchestrator.planning.token_checks import frame_faults, token_faults, tokenless_faults
from orchestrator.planning.windows import first_crowded, window_faults

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
    exceeds: Callable[[LocatedEncoder, int], bool]
    """Whether any text has more tokens of an encoder than a limit; true where the texts were not looked at
    (Hub data)."""
    crowded: Callable[[LocatedEncoder, int, int], str | None] = lambda encoder, limit, overlap: None
    """The place of a pair whose first text leaves too little of windows of so many tokens for the second."""
    text_only: bool = False
    """Whether only its training texts are read: a corpus."""
    texts: TaskTexts | None = None
    """What the texts say; none where they were not looked at."""

    @property
    def are_pairs(self) -> bool:
        """Whether the encoder reads two texts together: those of a pair, or a text and a choice."""
        return self.task.columns.text_pair is not None or self.task.columns.choices is not None

    def num_special(self, encoder: LocatedEncoder) -> int:
        """Special tokens around a text, or around and between those of a pair."""
        num_parts = 2 if self.are_pairs else 1
        return frame_of(load_tokenizer(encoder.folder), num_parts=num_parts).num_special


@dataclass(frozen=True)
class AnnotatedSource:
    """Annotated sentences, or rows with marked spans, as the planner sees them."""

    task: Task
    data: AnnotatedFilesData | SampleAnnotationsData | FilesData | HubData
    data_version: int
    files: Mapping[str, str]
    """Paths of the splits by role."""
    num_train: int | None
    """Sentences of the training split, without those that validate; fewer where some are too long. None where
    they were not looked at (Hub data)."""
    sentences: Mapping[str, Sequence[AnnotatedSentence]] = field(default_factory=dict)
    """Of the splits that were looked at."""


@dataclass(frozen=True)
class Sources:
    """What an experiment rests on outside itself."""

    encoders: Mapping[str, LocatedEncoder]
    """Those that the recipes use, by the name that they have there."""
    tasks: Mapping[str, TaskSource | AnnotatedSource]
    probing: Mapping[str, TaskSource | AnnotatedSource]
    corpora: Mapping[str, TaskSource]


def look_at(
    experiment: Experiment, *, memory: Path | None = None, fetch_mlflow: FetchMlflow | None = None
) -> Sources:
    """Find the encoders, read and check the data of every task.

    Args:
        memory: JSON file in which digests of large files are remembered.

    Raises:
        ConfigurationError: data that is missing or has bad rows, or lengths and layers that an encoder does
            not have; the faults of all tasks at once.
        PrerequisiteMissing: an encoder is nowhere to be found.
    """
    given = {MAIN: experiment.encoder} | experiment.encoders
    encoders = {
        str(name): _located(str(name), given[str(name)], fetch_mlflow=fetch_mlflow, memory=memory)
        for name in possible_values(experiment, "encoder")
    }
    faults: list[str] = []
    tasks = _looked_at("task", "tasks", _look_at_task, experiment.tasks, faults)
    probing = _looked_at("task", "probing", _look_at_task, experiment.probing, faults)
    corpora = _looked_at("corpus", "corpora", _look_at_corpus, experiment.corpora, faults)
    seen = {
        name: source.texts for name, source in tasks.items() if getattr(source, "texts", None) is not None
    }
    annotated = {name: source for name, source in tasks.items() if isinstance(source, AnnotatedSource)}
    num_train = {
        name: known.num_train for name, known in (seen | annotated).items() if known.num_train is not None
    }
    sizes = train_size_faults(experiment, num_train)
    faults += sizes or checkpoint_faults(experiment, num_train)
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
        faults += depth_faults(experiment, encoder)
        faults += length_faults(experiment, encoder, exceeds)
        faults += head_faults(experiment, encoder)
        faults += similarity_faults(experiment, encoder)
        faults += window_faults(experiment, encoder, texts)
        faults += feature_faults(experiment, encoder, seen)
    if faults:
        raise ConfigurationError("\n".join(dict.fromkeys(faults)))
    return Sources(encoders, tasks, probing, corpora)


def _located(name: str, source: EncoderSource, **options: Any) -> LocatedEncoder:
    """An encoder that has been checked; what is wrong with it begins with where the experiment says it."""
    place = "encoder" if name == MAIN else f"encoders.{name}"
    try:
        located = locate_encoder(source, **options)
        _ = located.facts
    except (ConfigurationError, PrerequisiteMissing) as error:
        raise type(error)(f"{place}: {error}") from error
    except ValueError as error:
        raise ConfigurationError(f"{place}: {error}") from error
    return located


def _looked_at(
    kind: str, part: str, look: Callable[[Any], Any], tasks: Iterable[Task], faults: list[str]
) -> dict[str, Any]:
    """What is found of each task; faults of others begin with the task, or with the path of what is wrong."""
    found = {}
    for index, task in enumerate(tasks):
        try:
            found[task.task] = look(task)
        except (ValueError, OSError) as error:
            is_placed = str(error).startswith("sample.")
            faults.append(f"{part}.{index}.{error}" if is_placed else f"{kind} {task.task}: {error}")
    return found


def _look_at_task(task: Task) -> TaskSource | AnnotatedSource:
    match task.data:
        case AnnotatedFiles():
            return _look_at_annotations(task, task.data)
        case SampleAnnotationsData():
            from jobs.text.sample_corpus import VERSION

            for role in ("train", "test"):
                _refuse_large_sample(task, role, getattr(task.data, f"num_{role}"))
            num_train = num_kept(task.data.num_train, task)
            return AnnotatedSource(task, task.data, VERSION, {}, num_train)
        case Files() if task.columns.spans is not None:
            return _look_at_spans(task, task.data)
        case Files():
            return _look_at_files(task, task.data)
        case Hub():
            data = HubData(
                name=task.data.name,
                subset=task.data.subset,
                revision=resolve_revision(task.data.name, task.data.revision),
                train=task.data.train,
                test=task.data.test,
                validation=task.data.validation,
            )
            if task.columns.spans is not None:
                return AnnotatedSource(task, data, READER_VERSION, {}, None)
            return TaskSource(task, data, READER_VERSION, {}, lambda encoder, limit: True)
        case SampleData():
            return _look_at_sample(task, task.data)
        case never:
            assert_never(never)


def _look_at_corpus(corpus: Corpus) -> TaskSource:
    """A corpus; only whole texts are read of it, so no length matters."""
    seen = partial(TaskSource, corpus, exceeds=lambda encoder, limit: True, text_only=True)
    match corpus.data:
        case Files() as written:
            path = Path(written.train).expanduser().absolute()
            rows = read_rows(path, corpus.columns, has_label=False)
            if len(rows) < 2:
                raise ValueError(f"{path.name} has one text only: a corpus needs two, as one is held out")
            texts = TaskTexts(len(rows), {"train": rows})
            return seen(FilesData(train=digest(path)), READER_VERSION, {"train": str(path)}, texts=texts)
        case Hub(name=name, subset=subset, train=train) as written:
            revision = resolve_revision(name, written.revision)
            return seen(HubData(name=name, subset=subset, revision=revision, train=train), READER_VERSION, {})
        case SampleData() as written:
            from jobs.text.sample_corpus import VERSION

            return seen(written, VERSION, {})
        case never:
            assert_never(never)


def _look_at_files(task: Task, files: Files) -> TaskSource:
    paths = _paths(files)
    rows = {role: read_rows(path, task.columns, predict=task.predict) for role, path in paths.items()}
    target = target_of(task.columns, task.predict)
    labels = check_targets(rows, target, names={role: path.name for role, path in paths.items()})
    check_metric(task, with_last(labels, task.positive))
    data = FilesData(**{role: digest(path) for role, path in paths.items()})
    located = {role: str(path) for role, path in paths.items()}
    rows = sampled(rows, task.sample, target)
    texts = texts_of(task, rows)
    source = TaskSource(task, data, READER_VERSION, located, _exceeds(rows), texts=texts)
    if task.columns.text_pair is None or task.columns.choices is not None:
        return source
    by_file = {paths[role].name: part for role, part in rows.items()}

    @cache
    def crowded(encoder: LocatedEncoder, limit: int, overlap: int) -> str | None:
        budget = limit - source.num_special(encoder)
        return first_crowded(by_file, load_tokenizer(encoder.folder), budget, overlap)

    return replace(source, crowded=crowded)


def _look_at_annotations(task: Task, files: AnnotatedFiles) -> AnnotatedSource:
    paths = _paths(files)
    sentences = {role: read_annotations(path, files.label) for role, path in paths.items()}
    data = AnnotatedFilesData(label=files.label, **{role: digest(path) for role, path in paths.items()})
    return _annotated(task, data, paths, sentences)


def _look_at_spans(task: Task, files: Files) -> AnnotatedSource:
    paths = _paths(files)
    sentences = {role: read_span_sentences(path, task.columns) for role, path in paths.items()}
    labels = {unit.label for sentence in sentences["train"] for unit in sentence.units}
    if len(labels) < 2:
        raise ValueError(f"{paths['train'].name} has one label only: there is nothing to predict")
    check_metric(task, sorted(labels))
    data = FilesData(**{role: digest(path) for role, path in paths.items()})
    return _annotated(task, data, paths, sentences)


def _annotated(
    task: Task,
    data: AnnotatedFilesData | FilesData,
    paths: Mapping[str, Path],
    sentences: Mapping[str, Sequence[AnnotatedSentence]],
) -> AnnotatedSource:
    for role, of_role in sentences.items():
        _refuse_large_sample(task, role, len(of_role))
    number = len(sentences["train"])
    is_given = "validation" in sentences
    num_train = min(number, task.sample.train or number) if is_given else num_kept(number, task)
    located = {role: str(path) for role, path in paths.items()}
    return AnnotatedSource(task, data, READER_VERSION, located, num_train, sentences)


def _refuse_large_sample(task: Task, role: str, number: int) -> None:
    if (size := getattr(task.sample, role)) is not None and size > number:
        raise ValueError(too_large_sample(role, size, number))


def _paths(files: Files | AnnotatedFiles) -> dict[str, Path]:
    written = {"train": files.train, "test": files.test, "validation": files.validation}
    return {role: Path(path).expanduser().absolute() for role, path in written.items() if path is not None}


def _look_at_sample(task: Task, data: SampleData) -> TaskSource:
    from jobs.text.sample_corpus import VERSION, sample_rows

    train, test = sample_rows(**data.model_dump(exclude={"source"}))
    rows = {"train": [Row(**row) for row in train], "test": [Row(**row) for row in test]}
    rows = sampled(rows, task.sample)
    return TaskSource(task, data, VERSION, {}, _exceeds(rows), texts=texts_of(task, rows))


def _exceeds(rows: Mapping[str, Sequence[Row]]) -> Callable[[LocatedEncoder, int], bool]:
    firsts, seconds = sequences_of([row for part in rows.values() for row in part])

    @cache
    def exceeds(encoder: LocatedEncoder, limit: int) -> bool:
        return any_exceeds(firsts, load_tokenizer(encoder.folder), limit, pairs=seconds)

    return exceeds
