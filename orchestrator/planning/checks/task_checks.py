"""Validates a task's data: reads every row, reports every fault, counts rows and labels."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar, assert_never

from layerscope.jobs.specs.annotations import SampleAnnotationsData
from layerscope.jobs.specs.stages import SampleData, target_of
from layerscope.jobs.specs.targets import TARGET_FACTS
from layerscope.jobs.text.reading.annotated_sentences import (
    AnnotatedSentence,
    noted_annotations,
    sample_annotations,
)
from layerscope.jobs.text.reading.corpora import noted_rows, read_hub
from layerscope.jobs.text.reading.data_faults import Noted
from layerscope.jobs.text.reading.hub_rows import hub_records
from layerscope.jobs.text.reading.row_targets import ROW_TARGETS, check_targets, with_last
from layerscope.jobs.text.reading.rows import Row
from layerscope.jobs.text.reading.span_rows import columns_of_spans, noted_span_sentences, span_sentences
from layerscope.jobs.text.reading.unit_labels import check_unit_labels
from layerscope.orchestrator.errors import ConfigurationError
from layerscope.orchestrator.experiment.tasks import AnnotatedFiles, Corpus, Files, Hub, Task
from layerscope.orchestrator.planning.sources.data_notes import notes_on_rows, notes_on_sentences
from layerscope.orchestrator.planning.sources.hub_data import resolve_revision
from layerscope.orchestrator.planning.sources.task_data import check_metric

LABELS_SHOWN = 20
Found = TypeVar("Found")


@dataclass(frozen=True)
class CheckedTask:
    """Statistics of a task's data."""

    task: str
    num_rows: Mapping[str, int]
    """Rows of each split, or sentences with labelled spans."""
    num_units: Mapping[str, int] | None
    """Labelled words, pairs or spans of each split."""
    num_by_label: Mapping[str, Mapping[str, int]]
    """For each split, counts of each label or correct choice, in the order of the labels; empty for numbers
    and for several correct choices."""
    notes: tuple[str, ...]
    """Warnings."""


def check_task(task: Task) -> CheckedTask:
    """Read all splits of a task.

    Raises:
        ConfigurationError: rows at fault, as `file:row: reason`, of all splits at once; or labels, choices or
            a metric that do not fit.
    """
    try:
        return _with_units(task) if task.has_units else _with_rows(task)
    except (ValueError, OSError) as error:
        raise ConfigurationError(f"task {task.task}: {error}") from error


def lines_of(checked: CheckedTask) -> Iterator[str]:
    """The printed summary."""
    units = checked.num_units
    noun = "rows" if units is None else "sentences"
    counts = [
        f"{number:,} {noun}{'' if units is None else f' with {units[split]:,} units'} in {split}"
        for split, number in checked.num_rows.items()
    ]
    yield f"{checked.task}: {', '.join(counts)}"
    train = checked.num_by_label.get("train", {})
    if train:
        shown = [f"{label} {number:,}" for label, number in list(train.items())[:LABELS_SHOWN]]
        more = f", ... ({len(train)} labels)" if len(train) > LABELS_SHOWN else ""
        yield f"  labels in train: {', '.join(shown)}{more}"
    yield from (f"  {note}" for note in checked.notes)


def _with_rows(task: Task) -> CheckedTask:
    target = target_of(task.columns, task.predict)
    is_corpus = isinstance(task, Corpus)
    noted = _each(_row_readers(task, has_label=not is_corpus))
    rows = {split: of.found for split, of in noted.items()}
    num_rows = {split: len(of) for split, of in rows.items()}
    if is_corpus:
        return CheckedTask(task.task, num_rows, None, {}, notes_on_rows(task, noted))
    labels = with_last(check_targets(rows, target, names=_names(task)), task.positive)
    check_metric(task, labels)
    counted = labels if TARGET_FACTS[target].has_one_answer else ()
    num_by_label = {
        split: {label: count[label] for label in counted}
        for split, count in ((split, Counter(str(row.label) for row in of)) for split, of in rows.items())
    }
    notes = (*ROW_TARGETS[target].notes(rows["train"]), *notes_on_rows(task, noted))
    return CheckedTask(task.task, num_rows, None, num_by_label, notes)


def _with_units(task: Task) -> CheckedTask:
    noted = _each(_sentence_readers(task))
    sentences = {split: of.found for split, of in noted.items()}
    labels = check_unit_labels(sentences, _names(task))
    counts = {split: Counter(u.label for s in of for u in s.units) for split, of in sentences.items()}
    if len(counts["train"]) < 2:
        raise ValueError(f"train has only one label ({', '.join(labels)}): there is nothing to predict")
    check_metric(task, sorted(counts["train"]))
    return CheckedTask(
        task.task,
        {split: len(of) for split, of in sentences.items()},
        {split: count.total() for split, count in counts.items()},
        {split: {label: count[label] for label in labels if count[label]} for split, count in counts.items()},
        (*_unknown_in_train(counts), *notes_on_sentences(noted)),
    )


def _unknown_in_train(counts: Mapping[str, Counter[str]]) -> Iterator[str]:
    unknown = sorted(set(counts["test"]) - set(counts["train"]))
    if unknown:
        number = sum(counts["test"][label] for label in unknown)
        yield (
            f"{number:,} units of test have a label that is not in train, and will always be wrong: "
            f"{', '.join(unknown)}"
        )


def _each(readers: Mapping[str, Callable[[], Found]]) -> dict[str, Found]:
    """Reads every split; reports the faults of all splits together."""
    found, faults = {}, []
    for split, read in readers.items():
        try:
            found[split] = read()
        except ValueError as error:
            faults.append(str(error))
    if faults:
        raise ValueError("\n  ".join(dict.fromkeys(faults)))
    return found


def _row_readers(task: Task, *, has_label: bool) -> dict[str, Callable[[], Noted[Row]]]:
    match task.data:
        case SampleData() as data:
            from layerscope.jobs.text.sample_corpus.sample_documents import sample_rows

            parts = sample_rows(**data.model_dump(exclude={"source"}))
            made = ([Row(**row) for row in of] for of in parts)
            return {
                split: partial(Noted, rows, ()) for split, rows in zip(("train", "test"), made, strict=True)
            }
        case Files() as files:
            read = partial(
                noted_rows,
                columns=task.columns,
                predict=task.predict,
                has_label=has_label,
                layout=files.layout,
            )
            return {split: partial(read, path) for split, path in _files(files).items()}
        case Hub() as hub:
            revision = resolve_revision(hub.name, hub.revision)

            def read_split(name: str) -> Noted[Row]:
                rows = read_hub(
                    hub.name,
                    subset=hub.subset,
                    revision=revision,
                    split=name,
                    columns=task.columns,
                    predict=task.predict,
                    has_label=has_label,
                )
                return Noted(rows, ())

            names = _splits(hub) if has_label else {"train": hub.train}
            return {split: partial(read_split, name) for split, name in names.items()}
        case AnnotatedFiles() | SampleAnnotationsData():
            raise AssertionError("sentences have labelled spans")
        case never:
            assert_never(never)


def _sentence_readers(task: Task) -> dict[str, Callable[[], Noted[AnnotatedSentence]]]:
    match task.data:
        case SampleAnnotationsData() as made:

            def generate(split: str, size: int) -> Noted[AnnotatedSentence]:
                return Noted(
                    sample_annotations(label=made.label, num_sentences=size, seed=made.seed, part=split), ()
                )

            sizes = {"train": made.num_train, "test": made.num_test}
            return {split: partial(generate, split, size) for split, size in sizes.items()}
        case AnnotatedFiles() as annotated:
            return {
                split: partial(noted_annotations, path, annotated.label)
                for split, path in _files(annotated).items()
            }
        case Files() as files:
            return {
                split: partial(noted_span_sentences, path, task.columns, files.layout)
                for split, path in _files(files).items()
            }
        case Hub() as hub:
            revision = resolve_revision(hub.name, hub.revision)
            columns = columns_of_spans(task.columns)

            def read(name: str) -> Noted[AnnotatedSentence]:
                records = hub_records(
                    hub.name, subset=hub.subset, revision=revision, split=name, columns=columns
                )
                return span_sentences(records, f"{hub.name}/{name}", task.columns)

            return {split: partial(read, name) for split, name in _splits(hub).items()}
        case SampleData():
            raise AssertionError("rows without spans have no labelled spans")
        case never:
            assert_never(never)


def _files(data: Files | AnnotatedFiles) -> dict[str, Path]:
    written = {"train": data.train, "validation": data.validation, "test": data.test}
    return {split: Path(path).expanduser().absolute() for split, path in written.items() if path is not None}


def _splits(data: Hub) -> dict[str, str]:
    written = {"train": data.train, "validation": data.validation, "test": data.test}
    return {split: name for split, name in written.items() if name is not None}


def _names(task: Task) -> dict[str, str]:
    """What messages call a split."""
    match task.data:
        case Files() | AnnotatedFiles():
            return {split: path.name for split, path in _files(task.data).items()}
        case Hub() as data:
            return {split: f"{data.name}/{name}" for split, name in _splits(data).items()}
        case SampleData() | SampleAnnotationsData():
            return {}
        case never:
            assert_never(never)
