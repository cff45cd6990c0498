"""What each kind of stage computes, with its parents and external files by role."""

from typing import Annotated, Literal

from pydantic import Field

from layerscope.jobs.specs.recipe import Pretraining, TokenPooling, Training, Truncation
from layerscope.jobs.specs.spec import PositiveInt, Spec, Strict
from layerscope.jobs.specs.targets import MetricName, OwnMetric, Predict, Target

Checkpoint = PositiveInt | Annotated[float, Field(gt=0, le=1)]
"""A step of a training, or a share of all its steps: 1.0 is the last one."""
Delimiter = Annotated[str, Field(pattern=r'^[^"\r\n]$')]
"""Column separator of delimited text: one character."""
Quoting = Literal["standard", "none"]
"""`standard`: fields may be quoted, as in CSV; `none`: quotes are ordinary characters, as in TSV."""


class Layout(Strict):
    """Format of delimited text; null follows the suffix of the file."""

    delimiter: Delimiter | None = None
    quoting: Quoting | None = None


class FilesData(Strict):
    """Digests of the files of a task's splits (external files by role: train, validation, test)."""

    source: Literal["files"] = "files"
    train: str
    test: str | None = None
    """None if only training texts are read."""
    validation: str | None = None
    layout: Layout | None = None
    """Format of delimited text that differs from the suffix of its files."""


class HubData(Strict):
    """A Hub data set at a commit."""

    source: Literal["hub"] = "hub"
    name: str
    subset: str | None = None
    revision: str
    """Commit: 40 hexadecimal digits."""
    train: str = "train"
    test: str = "test"
    validation: str | None = None


class SampleData(Strict):
    """Generated documents."""

    source: Literal["sample"] = "sample"
    target: Literal["topic", "sentiment"]
    """The property of a document that is its label."""
    length: Literal["short", "long"] = "short"
    evidence: Literal["head", "tail", "both", "mixed"] = "mixed"
    """Position of the evidence for the label in a long document."""
    num_train: PositiveInt = 200
    num_test: PositiveInt = 200
    seed: int = 0


class SpanColumns(Strict):
    """Columns with the position of a span: by characters (start, end), or by words (first_word, words)."""

    of: Literal["text", "text_pair"] = "text"
    start: str | None = None
    """First character, from 0."""
    end: str | None = None
    """The character after the last."""
    first_word: str | None = None
    """Number of the first word between spaces, from 0."""
    words: str | None = None
    """The words themselves, which give their number."""


Texts = str | Annotated[tuple[str, ...], Field(min_length=2)]
"""A column, or several that are joined with a space."""


class Columns(Strict):
    """Columns of text and label."""

    text: Texts = "text"
    text_pair: Texts | None = None
    """The second text of a pair; null for single texts."""
    label: str = "label"
    choices: str | Annotated[tuple[str, ...], Field(min_length=2)] | None = None
    """The choices of a row, the label names the correct one: a column with a list, with a mapping of
    names to texts, or with `label` and `text`; or one column per choice."""
    first_choice: Literal[0, 1] = 0
    """The label of the first choice, for choices without names; it may name a column, too."""
    answers: str | None = None
    """The column with a list of the texts of the correct choices, instead of a label; the number of choices
    may then vary by row."""
    placeholder: str | None = None
    """Placeholder for a choice in the second text: it is replaced by each choice, after the first text."""
    skip_unlabelled: bool = False
    """Whether rows without a label are skipped, for example without agreement of annotators; else they are
    errors."""
    skip_empty: bool = False
    """Whether rows with an empty text are skipped; else they are errors."""
    spans: Annotated[tuple[SpanColumns, ...], Field(min_length=1, max_length=2)] | None = None
    """The one or two spans that the label is about: the head reads their states, not the whole text."""


class ValidationSplit(Strict):
    """How the validation split is sampled from the training data, stratified by label."""

    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    seed: int = 0


class Sample(Strict):
    """Number of rows sampled from a split, stratified by label, before anything else; null uses all."""

    train: PositiveInt | None = None
    """Rows of the training data, including the validation split if it is sampled from them."""
    validation: PositiveInt | None = None
    """Rows of the validation data, if the task has any."""
    test: PositiveInt | None = None
    seed: int = 0


class PrepareSpec(Spec):
    """Texts to token ids, split and truncated. External files: train, test, validation, tokenizer."""

    kind: Literal["prepare"] = "prepare"
    data: Annotated[FilesData | HubData | SampleData, Field(discriminator="source")]
    data_version: int = 1
    """Version of the generator for sample data, else of the reader."""
    columns: Columns = Columns()
    sample: Sample = Sample()
    validation: ValidationSplit = ValidationSplit()
    tokenizer: str
    """Digest of the tokenizer's files."""
    text_only: bool = False
    """Whether only training texts are read, without labels and test split: a corpus for continued
    pretraining."""
    truncation: Truncation | Literal["whole"]
    """`whole` if no text is longer than the limit, or without a limit."""
    max_length: PositiveInt | None
    """Maximum tokens of a text, special tokens included; null for pretraining corpora."""
    head_tokens: PositiveInt | None = None
    """Body tokens kept from the head under `head+tail`; the rest of the budget comes from the tail."""
    window_overlap: Annotated[int, Field(ge=0)] | None = None
    """For `windows`: tokens that a window shares with the previous one."""
    max_windows: PositiveInt | None = None
    """For `windows`: maximum number of windows of a text, from its head."""
    pairs: Literal["joined", "apart"] = "joined"
    """Whether the texts of a pair are one example, or two separate ones (for continued pretraining)."""
    predict: Predict = "label"
    """Whether the label is a class or a number."""
    positive: str | None = None
    """The positive label for F1, ordered last; alphabetical order by default."""


def target_of(columns: Columns, predict: Predict) -> Target:
    """The prediction target."""
    if columns.choices is None:
        return predict
    return "choice" if columns.answers is None else "answers"


class PretrainSpec(Spec):
    """An encoder after continued pretraining on raw text.

    Parents: corpus/0, corpus/1, ... (prepare, whole texts), test/0, ... (prepare, whole texts: none of their
    test splits is trained on), encoder (optional, pretrain: the previous one of a chain).
    """

    kind: Literal["pretrain"] = "pretrain"
    encoder: str
    """Digest of the weights that everything starts from."""
    training: Pretraining


class FinetuneSpec(Spec):
    """An encoder with a head, trained on a task.

    Parents: data (prepare or tokenise_annotations), encoder (optional, pretrain). Outside files: encoder,
    metric (of the user's own).
    """

    kind: Literal["finetune"] = "finetune"
    encoder: str
    """Digest of the weights that everything starts from; a pretrain parent stands above it."""
    snapshot: int | None = None
    """Step of the pretrain parent whose encoder is used; by default the last one."""
    training: Training
    seed: int
    checkpoints: tuple[Checkpoint, ...] = ()
    """Checkpoints at which the encoder is also saved."""
    selected_by: MetricName | OwnMetric | None = None
    """Validation metric that selects the best weights; the task type's by default."""


class TextStatesSpec(Spec):
    """Pooled hidden states of every layer.

    Parents: data (prepare), model (optional: finetune or pretrain; else the external file encoder).
    """

    kind: Literal["text_states"] = "text_states"
    encoder: str
    snapshot: Checkpoint | None = None
    """Step of a pretrain model, or checkpoint of a finetune model, whose encoder is used; by default the
    final one."""
    pooling: TokenPooling
    num_train: PositiveInt
    """Training examples, the first of a seeded shuffle."""
    num_test: PositiveInt
    seed: int = 0
    choices_apart: bool = False
    """Whether the windows of a text are its choices, each with its own row of states; else the text's states
    are their mean. Examples are counted in texts either way."""


class RandomEncoderSpec(Spec):
    """A randomly initialised encoder of the same architecture. External file: encoder."""

    kind: Literal["random_encoder"] = "random_encoder"
    encoder: str
    """Digest of the encoder whose configuration is used."""
    seed: int = 0
