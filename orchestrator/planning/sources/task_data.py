"""A task's data read and checked: what its labels, lengths and notes are.

Invalid rows are rejected here, in the driver, before any process of a cluster starts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from layerscope.jobs.specs.annotations import AnnotatedFilesData, SampleAnnotationsData
from layerscope.jobs.specs.stages import FilesData, HubData, Layout, SampleData, target_of
from layerscope.jobs.specs.targets import METRICS, is_own
from layerscope.jobs.text.reading.annotated_sentences import AnnotatedSentence, noted_annotations
from layerscope.jobs.text.reading.copies import texts_of_rows, texts_of_sentences
from layerscope.jobs.text.reading.corpora import columns_read, digest, noted_rows, sampled, sequences_of
from layerscope.jobs.text.reading.data_faults import Noted
from layerscope.jobs.text.reading.delimited import layout_of
from layerscope.jobs.text.reading.lines import has_suffix
from layerscope.jobs.text.reading.row_targets import check_targets, with_last
from layerscope.jobs.text.reading.rows import Row
from layerscope.jobs.text.reading.span_rows import columns_of_spans, noted_span_sentences
from layerscope.jobs.text.reading.splits import check_sample
from layerscope.jobs.text.reading.unit_labels import check_unit_labels
from layerscope.jobs.text.tokenising.text_windows import is_crowded
from layerscope.jobs.text.tokenising.truncation import any_exceeds, bodies_of
from layerscope.orchestrator.experiment.tasks import AnnotatedFiles, Corpus, Files, Hub, Task
from layerscope.orchestrator.planning.sources.data_notes import notes_on_rows, notes_on_sentences
from layerscope.orchestrator.planning.sources.encoder_folders import LocatedEncoder
from layerscope.orchestrator.planning.sources.hub_data import check_columns, resolve_revision
from layerscope.orchestrator.planning.sources.sources import AnnotatedSource, TaskSource
from layerscope.orchestrator.planning.sources.task_texts import TaskTexts, num_kept, texts_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer

READER_VERSION = 1
"""Raised by hand when the same file comes to be read differently."""


def look_at_task(task: Task) -> TaskSource | AnnotatedSource:
    """A task's data, checked.

    Raises:
        ValueError: rows, or what they are read as, are at fault.
        OSError: files cannot be read.
    """
    match task.data:
        case AnnotatedFiles():
            return _look_at_annotations(task, task.data)
        case SampleAnnotationsData():
            from layerscope.jobs.text.sample_corpus.sample_documents import VERSION

            for role in ("train", "test"):
                check_sample(role, getattr(task.sample, role), getattr(task.data, f"num_{role}"))
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


def look_at_corpus(corpus: Corpus) -> TaskSource:
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
    read = partial(noted_rows, columns=task.columns, predict=task.predict, layout=files.layout)
    noted = {role: read(path) for role, path in paths.items()}
    rows: dict[str, Sequence[Row]] = {role: of.found for role, of in noted.items()}
    target = target_of(task.columns, task.predict)
    labels = check_targets(rows, target, names={role: path.name for role, path in paths.items()})
    check_metric(task, with_last(labels, task.positive))
    data = _digests(paths, files.layout)
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
        return _first_crowded(by_file, encoder.tokenizer, budget, overlap)

    return replace(source, crowded=crowded)


def _digests(paths: Mapping[str, Path], layout: Layout) -> FilesData:
    digests = {role: digest(path) for role, path in paths.items()}
    return FilesData(
        train=digests["train"],
        test=digests["test"],
        validation=digests.get("validation"),
        layout=_identity(list(paths.values()), layout),
    )


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
    digests = {role: digest(path) for role, path in paths.items()}
    data = AnnotatedFilesData(
        label=files.label,
        train=digests["train"],
        test=digests["test"],
        validation=digests.get("validation"),
    )
    return _annotated(task, data, paths, sentences)


def _look_at_spans(task: Task, files: Files) -> AnnotatedSource:
    paths = _paths(files)
    sentences = {role: noted_span_sentences(path, task.columns, files.layout) for role, path in paths.items()}
    labels = {unit.label for sentence in sentences["train"].found for unit in sentence.units}
    if len(labels) < 2:
        raise ValueError(f"{paths['train'].name} has only one label: there is nothing to predict")
    check_metric(task, sorted(labels))
    data = _digests(paths, files.layout)
    return _annotated(task, data, paths, sentences)


def _annotated(
    task: Task,
    data: AnnotatedFilesData | FilesData,
    paths: Mapping[str, Path],
    noted: Mapping[str, Noted[AnnotatedSentence]],
) -> AnnotatedSource:
    for role, of in noted.items():
        check_sample(role, getattr(task.sample, role), len(of.found))
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


def _paths(files: Files | AnnotatedFiles) -> dict[str, Path]:
    written = {"train": files.train, "test": files.test, "validation": files.validation}
    return {role: Path(path).expanduser().absolute() for role, path in written.items() if path is not None}


def _look_at_sample(task: Task, data: SampleData) -> TaskSource:
    from layerscope.jobs.text.sample_corpus.sample_documents import VERSION, sample_rows

    train, test = sample_rows(**data.model_dump(exclude={"source"}))
    rows = sampled(
        {"train": [Row(**row) for row in train], "test": [Row(**row) for row in test]}, task.sample
    )
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


def check_metric(task: Task, labels: Sequence[str]) -> None:
    """Checks that need the data; others are made on the experiment file.

    Raises:
        ValueError: the metric is of one of two labels, and there are not two.
    """
    if not is_own(task.metric) and METRICS[task.metric].of_two_labels and len(labels) != 2:
        raise ValueError(f"metric: {task.metric} needs two labels, and there are {len(labels)}: use macro_f1")


def _first_crowded(
    rows_by_file: Mapping[str, Sequence[Row]], tokenizer: "Tokenizer", budget: int, overlap: int
) -> str | None:
    """File and row of the first pair that is not one window and whose first text leaves too little room."""
    for file, rows in rows_by_file.items():
        firsts = bodies_of([row.text for row in rows], tokenizer)
        seconds = bodies_of([row.text_pair or "" for row in rows], tokenizer)
        for row, first, second in zip(rows, firsts, seconds, strict=True):
            if len(first) + len(second) > budget and is_crowded(budget - len(first), overlap=overlap):
                return f"{file}:{row.id}"
    return None
