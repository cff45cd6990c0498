"""Models of tasks and corpora, in separate files or in an experiment."""

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
    """Column separator of delimited text: by default a comma in CSV, a tab in TSV."""
    quoting: Quoting | None = None
    """For delimited text: `standard`, as in CSV (fields may be quoted), or `none`, as in TSV (quotes are
    ordinary characters)."""

    @property
    def layout(self) -> Layout:
        """The configured format of delimited text."""
        return Layout(delimiter=self.delimiter, quoting=self.quoting)


class AnnotatedFiles(Strict):
    """Annotated sentences in files: CoNLL-U, CoNLL-U-Lex, or JSON lines with tokens, span and label; also
    compressed with gzip."""

    source: Literal["annotated"] = "annotated"
    train: str
    test: str
    validation: str | None = None
    """Used for fine-tuning; by default a part of train is used for validation."""
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
"""Sentences with labelled spans; each labelled span is an example."""


class Task(Strict):
    """A data set with a column to predict; also the content of a file in `configs/tasks`."""

    task: Name
    data: Annotated[
        Files | Hub | SampleData | AnnotatedFiles | SampleAnnotationsData, Field(discriminator="source")
    ]
    columns: Columns = Columns()
    sample: Sample = Sample()
    """A sample of large data, for a small run."""
    validation: ValidationSplit = ValidationSplit()
    predict: Predict = "label"
    """Whether the label is a class or a number; in rows with choices it names the correct one."""
    metric: MetricName | OwnMetricSource = "accuracy"
    """The test metric that ranks conditions, and the validation metric that selects the best weights; for
    numbers pearson, spearman or pearson_spearman, for choices with answers exact_match, token_f1 or
    exact_match_token_f1. Or your own: a Python file, as ./kappa.py, or `module:attribute`."""
    positive: str | None = None
    """The positive label for f1 with two labels; by default the last in alphabetical order."""
    domain: Name | None = None
    """Domain of the texts; continued pretraining `in-domain` reads all texts of one domain."""

    @property
    def metric_name(self) -> str:
        """What the metric is called in scores, as `test/accuracy`."""
        return metric_name(self.metric)

    @property
    def has_units(self) -> bool:
        """Whether labelled spans of sentences are predicted: words, pairs, spans."""
        return isinstance(self.data, ANNOTATED) or self.columns.spans is not None


class CorpusFiles(Files):
    """Texts in files; only training texts are read."""

    test: str | None = None  # type: ignore[assignment]  # no test split of a corpus is read


class Corpus(Task):
    """Texts for continued pretraining; a task file can be used too, only its training texts are read."""

    data: Annotated[CorpusFiles | Hub | SampleData, Field(discriminator="source")]
