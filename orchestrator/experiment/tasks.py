"""Tasks and corpora as they are written, in files of their own or in an experiment."""

from typing import Annotated, Literal

from pydantic import Field

from layerscope.jobs.specs.annotations import SampleAnnotationsData
from layerscope.jobs.specs.spec import Strict
from layerscope.jobs.specs.stages import (
    Columns,
    Delimiter,
    Layout,
    Quoting,
    Sample,
    SampleData,
    ValidationSplit,
)
from layerscope.jobs.specs.targets import MetricName, OwnMetricSource, Predict, metric_name

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


class Files(Strict):
    """Splits in files: JSONL(.gz), CSV, TSV, Parquet, or folders written by `datasets`."""

    source: Literal["files"] = "files"
    train: str
    test: str
    validation: str | None = None
    delimiter: Delimiter | None = None
    """What parts the columns of delimited text: a comma in CSV, a tab in TSV, if not said."""
    quoting: Quoting | None = None
    """Of delimited text: `standard`, as in CSV, where a field may be in quotes, or `none`, as in TSV, where a
    quote is a character like any other."""

    @property
    def layout(self) -> Layout:
        """How delimited text is said to be laid out."""
        return Layout(delimiter=self.delimiter, quoting=self.quoting)


class AnnotatedFiles(Strict):
    """Annotated sentences in files: CoNLL-U, CoNLL-U-Lex, or JSON lines with tokens, span and label; also
    compressed with gzip."""

    source: Literal["annotated"] = "annotated"
    train: str
    test: str
    validation: str | None = None
    """Used where the sentences are fine-tuned on; by default a part of train validates."""
    label: str
    """`upos`, `xpos`, `deprel` of CoNLL-U, `role`, `function` of CoNLL-U-Lex, or a field of JSON lines."""


class Hub(Strict):
    """A data set of the Hugging Face Hub."""

    source: Literal["hub"] = "hub"
    name: str
    subset: str | None = None
    revision: str = "main"
    train: str = "train"
    test: str = "test"
    validation: str | None = None


ANNOTATED = (AnnotatedFiles, SampleAnnotationsData)
"""Data of sentences with labelled words, of which each label is an example."""


class Task(Strict):
    """A data set with a column to predict; also the content of a file in `configs/tasks`."""

    task: Name
    data: Annotated[
        Files | Hub | SampleData | AnnotatedFiles | SampleAnnotationsData, Field(discriminator="source")
    ]
    columns: Columns = Columns()
    sample: Sample = Sample()
    """A part of large data, for a small run."""
    validation: ValidationSplit = ValidationSplit()
    predict: Predict = "label"
    """Whether the label is one of several, or a number; where rows have choices it names the right one."""
    metric: MetricName | OwnMetricSource = "accuracy"
    """By which test score conditions are ranked, and on validation the best weights of a training chosen; of
    numbers one of pearson, spearman and pearson_spearman, of choices with answers one of exact_match,
    token_f1 and exact_match_token_f1. Or your own: a Python file, as ./kappa.py, or `module:attribute`."""
    positive: str | None = None
    """The label of which f1 is, where a task has two; the last in the order of the alphabet without."""
    domain: Name | None = None
    """What the texts are about or like; further pretraining `in-domain` reads all texts of one domain."""

    @property
    def metric_name(self) -> str:
        """What the metric is called in scores, as `test/accuracy`."""
        return metric_name(self.metric)

    @property
    def has_units(self) -> bool:
        """Whether it is units of sentences that are labelled: words, pairs, spans."""
        return isinstance(self.data, ANNOTATED) or self.columns.spans is not None


class CorpusFiles(Files):
    """Texts in files; only those to train on are read."""

    test: str | None = None  # type: ignore[assignment]  # no test split of a corpus is read


class Corpus(Task):
    """Texts to train encoders further on; a task's file does too, of which only training texts are read."""

    data: Annotated[CorpusFiles | Hub | SampleData, Field(discriminator="source")]
