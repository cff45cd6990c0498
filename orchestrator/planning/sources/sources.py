"""External inputs of an experiment, read once: encoders, data, labels and lengths.

Invalid rows are rejected here, in the driver, before any process of a cluster starts.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, assert_never

from layerscope.jobs.measures import MEASURES
from layerscope.jobs.specs.annotations import AnnotatedFilesData, SampleAnnotationsData
from layerscope.jobs.specs.measure import Measure
from layerscope.jobs.specs.stages import FilesData, HubData, Layout, SampleData, target_of
from layerscope.jobs.text.reading.annotated_sentences import AnnotatedSentence, noted_annotations
from layerscope.jobs.text.reading.copies import texts_of_rows, texts_of_sentences
from layerscope.jobs.text.reading.corpora import columns_read, digest, noted_rows, sampled, sequences_of
from layerscope.jobs.text.reading.data_faults import Noted
from layerscope.jobs.text.reading.delimited import layout_of
from layerscope.jobs.text.reading.lines import has_suffix
from layerscope.jobs.text.reading.row_targets import check_targets, with_last
from layerscope.jobs.text.reading.rows import Row
from layerscope.jobs.text.reading.span_rows import columns_of_spans, noted_span_sentences
from layerscope.jobs.text.reading.splits import too_large_sample
from layerscope.jobs.text.reading.unit_labels import check_unit_labels
from layerscope.jobs.text.tokenising.special_tokens import frame_of
from layerscope.jobs.text.tokenising.truncation import any_exceeds
from layerscope.orchestrator.errors import ConfigurationError, PrerequisiteMissing
from layerscope.orchestrator.experiment.experiment import MAIN, EncoderSource, Experiment
from layerscope.orchestrator.experiment.tasks import AnnotatedFiles, Corpus, Files, Hub, Task
from layerscope.orchestrator.experiment.variants import possible_values
from layerscope.orchestrator.planning.checks.data_notes import notes_on_rows, notes_on_sentences
from layerscope.orchestrator.planning.checks.decoder_checks import decoder_faults
from layerscope.orchestrator.planning.checks.head_checks import head_faults
from layerscope.orchestrator.planning.checks.layer_checks import depth_faults
from layerscope.orchestrator.planning.checks.length_checks import length_faults
from layerscope.orchestrator.planning.checks.measure_checks import measure_faults
from layerscope.orchestrator.planning.checks.metric_checks import check_metric
from layerscope.orchestrator.planning.checks.objective_checks import objective_faults
from layerscope.orchestrator.planning.checks.token_checks import (
    frame_faults,
    token_faults,
    tokenless_faults,
    unknown_notes,
)
from layerscope.orchestrator.planning.checks.window_checks import first_crowded, window_faults
from layerscope.orchestrator.planning.sources.encoder_folders import (
    FetchMlflow,
    LocatedEncoder,
    commit_fault,
    locate_encoder,
)
from layerscope.orchestrator.planning.sources.hub_data import check_columns, resolve_revision
from layerscope.orchestrator.planning.sources.measure_plugins import plugins_of
from layerscope.orchestrator.planning.sources.task_texts import (
    TaskTexts,
    num_kept,
    texts_of,
    train_size_faults,
)
from layerscope.orchestrator.planning.stages.feature_stages import feature_faults
from layerscope.orchestrator.planning.stages.tuning_checkpoints import checkpoint_faults

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
    notes: tuple[str, ...] = ()
    """What is worth knowing of the data."""

    @property
    def are_pairs(self) -> bool:
        """Whether the encoder reads two texts together: those of a pair, or a text and a choice."""
        return self.task.columns.text_pair is not None or self.task.columns.choices is not None

    def num_special(self, encoder: LocatedEncoder) -> int:
        """Special tokens around a text, or around and between those of a pair."""
        num_parts = 2 if self.are_pairs else 1
        return frame_of(encoder.tokenizer, num_parts=num_parts).num_special


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
    notes: tuple[str, ...] = ()
    """What is worth knowing of the data."""


@dataclass(frozen=True)
class Sources:
    """External inputs of an experiment."""

    encoders: Mapping[str, LocatedEncoder]
    """Those that the recipes use, by the name that they have there."""
    tasks: Mapping[str, TaskSource | AnnotatedSource]
    probing: Mapping[str, TaskSource | AnnotatedSource]
    corpora: Mapping[str, TaskSource]
    measures: Mapping[str, Measure] = field(default_factory=lambda: MEASURES)
    """Of layers, those of the user's own among them, by name."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth knowing of the data, after the name of their task."""
        every = self.tasks | self.probing | self.corpora
        return tuple(f"{name}: {note}" for name, source in every.items() for note in source.notes)


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
        faults += depth_faults(experiment, encoder, name)
        faults += length_faults(experiment, encoder, exceeds)
        faults += head_faults(experiment, encoder)
        faults += measure_faults(experiment, encoder)
        faults += window_faults(experiment, encoder, texts)
        faults += feature_faults(experiment, encoder, seen)
    plugins = plugins_of(experiment.measures.plugins, faults)
    if faults:
        raise ConfigurationError("\n".join(dict.fromkeys(faults)))
    known = (_with_unknown(of, encoders) for of in (tasks, probing, corpora))
    return Sources(encoders, *known, measures=MEASURES | plugins)


def _with_unknown(sources: Mapping[str, Any], encoders: Mapping[str, LocatedEncoder]) -> dict[str, Any]:
    """The sources with what the encoders' tokenizers do not know of their texts among their notes."""
    return {
        name: replace(source, notes=(*source.notes, *unknown_notes(encoders.values(), source)))
        for name, source in sources.items()
    }


def _located(name: str, source: EncoderSource, **options: Any) -> LocatedEncoder:
    """An encoder that has been checked; what is wrong with it begins with where the experiment says it."""
    place = "encoder" if name == MAIN else f"encoders.{name}"
    if fault := commit_fault(source):
        raise ConfigurationError(f"{place}.revision: {fault}")
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
            from layerscope.jobs.text.sample_corpus.sample_documents import VERSION

            for role in ("train", "test"):
                _refuse_large_sample(task, role, getattr(task.data, f"num_{role}"))
            num_train = num_kept(range(task.data.num_train), task)
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
            is_of_spans = task.columns.spans is not None
            read = columns_of_spans(task.columns) if is_of_spans else _columns(task, has_label=True)
            check_columns(data, read)
            if is_of_spans:
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
            noted = noted_rows(path, corpus.columns, has_label=False, layout=written.layout)
            texts = texts_of_rows(noted.found)
            if len(set(texts)) < 2:
                raise ValueError(f"{path.name} has only one text: a corpus needs two, since one is held out")
            return replace(
                seen(
                    FilesData(train=digest(path), layout=_identity([path], written.layout, is_corpus=True)),
                    READER_VERSION,
                    {"train": str(path)},
                    texts=TaskTexts(len(noted.found), {"train": noted.found}),
                ),
                notes=notes_on_rows(corpus, {"train": noted}),
            )
        case Hub(name=name, subset=subset, train=train) as written:
            revision = resolve_revision(name, written.revision)
            data = HubData(name=name, subset=subset, revision=revision, train=train)
            check_columns(data, _columns(corpus, has_label=False))
            return seen(data, READER_VERSION, {})
        case SampleData() as written:
            from layerscope.jobs.text.sample_corpus.sample_documents import VERSION

            return seen(written, VERSION, {})
        case never:
            assert_never(never)


def _columns(task: Task | Corpus, *, has_label: bool) -> list[str]:
    return columns_read(task.columns, task.predict, has_label=has_label)


def _look_at_files(task: Task, files: Files) -> TaskSource:
    paths = _paths(files)
    reading = {"predict": task.predict, "layout": files.layout}
    noted = {role: noted_rows(path, task.columns, **reading) for role, path in paths.items()}
    rows = {role: of.found for role, of in noted.items()}
    target = target_of(task.columns, task.predict)
    labels = check_targets(rows, target, names={role: path.name for role, path in paths.items()})
    check_metric(task, with_last(labels, task.positive))
    layout = _identity(list(paths.values()), files.layout)
    data = FilesData(layout=layout, **{role: digest(path) for role, path in paths.items()})
    located = {role: str(path) for role, path in paths.items()}
    rows = sampled(rows, task.sample, target)
    source = TaskSource(
        task,
        data,
        READER_VERSION,
        located,
        _exceeds(rows),
        texts=texts_of(task, rows),
        notes=notes_on_rows(task, noted),
    )
    if task.columns.text_pair is None or task.columns.choices is not None:
        return source
    by_file = {paths[role].name: part for role, part in rows.items()}

    @cache
    def crowded(encoder: LocatedEncoder, limit: int, overlap: int) -> str | None:
        budget = limit - source.num_special(encoder)
        return first_crowded(by_file, encoder.tokenizer, budget, overlap)

    return replace(source, crowded=crowded)


def _identity(paths: Sequence[Path], written: Layout, *, is_corpus: bool = False) -> Layout | None:
    """What of the layout of files is not said by their digests: nothing where it is that of their suffix.

    Of a corpus, which may have a single column, the same bytes can be a CSV and a TSV.
    """
    if written == Layout():
        return layout_of(paths[0], written) if is_corpus and has_suffix(paths[0], ".tsv") else None
    asked = {path: layout_of(path, written) for path in paths}
    first, *others = paths
    different = [path for path in others if asked[path] != asked[first]]
    if different:
        raise ValueError(
            f"{first.name} and {different[0].name} have different formats according to their suffixes: "
            "give both delimiter and quoting under data"
        )
    is_usual = all(asked[path] == layout_of(path, Layout()) for path in paths)
    return None if is_usual and not is_corpus else asked[first]


def _look_at_annotations(task: Task, files: AnnotatedFiles) -> AnnotatedSource:
    paths = _paths(files)
    sentences = {role: noted_annotations(path, files.label) for role, path in paths.items()}
    data = AnnotatedFilesData(label=files.label, **{role: digest(path) for role, path in paths.items()})
    return _annotated(task, data, paths, sentences)


def _look_at_spans(task: Task, files: Files) -> AnnotatedSource:
    paths = _paths(files)
    sentences = {role: noted_span_sentences(path, task.columns, files.layout) for role, path in paths.items()}
    labels = {unit.label for sentence in sentences["train"].found for unit in sentence.units}
    if len(labels) < 2:
        raise ValueError(f"{paths['train'].name} has only one label: there is nothing to predict")
    check_metric(task, sorted(labels))
    layout = _identity(list(paths.values()), files.layout)
    data = FilesData(layout=layout, **{role: digest(path) for role, path in paths.items()})
    return _annotated(task, data, paths, sentences)


def _annotated(
    task: Task,
    data: AnnotatedFilesData | FilesData,
    paths: Mapping[str, Path],
    noted: Mapping[str, Noted[AnnotatedSentence]],
) -> AnnotatedSource:
    for role, of in noted.items():
        _refuse_large_sample(task, role, len(of.found))
    names = {role: path.name for role, path in paths.items()}
    check_unit_labels({role: of.found for role, of in noted.items()}, names)
    texts = texts_of_sentences(noted["train"].found)
    is_given = "validation" in noted
    return AnnotatedSource(
        task,
        data,
        READER_VERSION,
        {role: str(path) for role, path in paths.items()},
        min(len(texts), task.sample.train or len(texts)) if is_given else num_kept(texts, task),
        sentences={role: of.found for role, of in noted.items()},
        notes=notes_on_sentences(noted),
    )


def _refuse_large_sample(task: Task, role: str, number: int) -> None:
    if (size := getattr(task.sample, role)) is not None and size > number:
        raise ValueError(too_large_sample(role, size, number))


def _paths(files: Files | AnnotatedFiles) -> dict[str, Path]:
    written = {"train": files.train, "test": files.test, "validation": files.validation}
    return {role: Path(path).expanduser().absolute() for role, path in written.items() if path is not None}


def _look_at_sample(task: Task, data: SampleData) -> TaskSource:
    from layerscope.jobs.text.sample_corpus.sample_documents import VERSION, sample_rows

    train, test = sample_rows(**data.model_dump(exclude={"source"}))
    rows = {"train": [Row(**row) for row in train], "test": [Row(**row) for row in test]}
    rows = sampled(rows, task.sample)
    return TaskSource(
        task,
        data,
        VERSION,
        {},
        _exceeds(rows),
        texts=texts_of(task, rows),
    )


def _exceeds(rows: Mapping[str, Sequence[Row]]) -> Callable[[LocatedEncoder, int], bool]:
    firsts, seconds = sequences_of([row for part in rows.values() for row in part])

    @cache
    def exceeds(encoder: LocatedEncoder, limit: int) -> bool:
        return any_exceeds(firsts, encoder.tokenizer, limit, pairs=seconds)

    return exceeds
