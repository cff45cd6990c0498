"""What each kind of stage computes; its parents and outside files are named by role beside it."""

from typing import Annotated, Literal

from pydantic import Field

from layerscope.jobs.specs.recipe import Pretraining, TokenPooling, Training, Truncation
from layerscope.jobs.specs.spec import PositiveInt, Spec, Strict
from layerscope.jobs.specs.targets import MetricName, OwnMetric, Predict, Target

Checkpoint = PositiveInt | Annotated[float, Field(gt=0, le=1)]
"""A step of a training, or a share of all its steps: 1.0 is the last one."""
Delimiter = Annotated[str, Field(pattern=r'^[^"\r\n]$')]
"""What parts the columns of delimited text: one character."""
Quoting = Literal["standard", "none"]
"""`standard`: a field may be in quotes, as in CSV; `none`: a quote is a character like others, as in TSV."""


class Layout(Strict):
    """How delimited text is laid out; what is none follows from the suffix of its file."""

    delimiter: Delimiter | None = None
    quoting: Quoting | None = None


class FilesData(Strict):
    """Digests of the files that hold a task's splits (outside files by role: train, validation, test)."""

    source: Literal["files"] = "files"
    train: str
    test: str | None = None
    """None where only training texts are read."""
    validation: str | None = None
    layout: Layout | None = None
    """Of delimited text that is laid out otherwise than its files are called."""


class HubData(Strict):
    """A data set of the Hub at a commit."""

    source: Literal["hub"] = "hub"
    name: str
    subset: str | None = None
    revision: str
    """Commit: 40 hexadecimal digits."""
    train: str = "train"
    test: str = "test"
    validation: str | None = None


class SampleData(Strict):
    """Documents of the project's own generator."""

    source: Literal["sample"] = "sample"
    target: Literal["topic", "sentiment"]
    """Which property of a document is its label."""
    length: Literal["short", "long"] = "short"
    evidence: Literal["head", "tail", "both", "mixed"] = "mixed"
    """Where the evidence for the label stands in a long document."""
    num_train: PositiveInt = 200
    num_test: PositiveInt = 200
    seed: int = 0


class SpanColumns(Strict):
    """Which columns say where a span stands: by characters (start, end), or by words (first_word, words)."""

    of: Literal["text", "text_pair"] = "text"
    start: str | None = None
    """First character, from 0."""
    end: str | None = None
    """The character after the last."""
    first_word: str | None = None
    """Number of the first word between spaces, from 0."""
    words: str | None = None
    """The words themselves, which say how many they are."""


Texts = str | Annotated[tuple[str, ...], Field(min_length=2)]
"""A column, or several whose texts are one, with a space between them."""


class Columns(Strict):
    """Which fields of a row hold the text and the label."""

    text: Texts = "text"
    text_pair: Texts | None = None
    """The second text of a pair; none where a row has one text."""
    label: str = "label"
    choices: str | Annotated[tuple[str, ...], Field(min_length=2)] | None = None
    """The choices of a row, of which the label names the right one: a column with a list, with a mapping of
    names to texts, or with `label` and `text`; or one column a choice."""
    first_choice: Literal[0, 1] = 0
    """What the label calls the first choice, where choices have no names; it may name a column, too."""
    answers: str | None = None
    """The column with a list of the texts of the right choices, in place of a label; then rows may have
    differently many choices."""
    placeholder: str | None = None
    """What in the second text stands for a choice: each choice is read in its place, after the first text."""
    skip_unlabelled: bool = False
    """Whether rows without a label are left out, as where annotators did not agree; else they are faults."""
    skip_empty: bool = False
    """Whether rows in which a text is empty are left out; else they are faults."""
    spans: Annotated[tuple[SpanColumns, ...], Field(min_length=1, max_length=2)] | None = None
    """The span of a row, or two, that the label is about: their states are read, not the whole text."""


class ValidationSplit(Strict):
    """How the validation split is drawn from the training data, stratified by label."""

    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    seed: int = 0


class Sample(Strict):
    """So many rows of a split, stratified by label and drawn before anything else; null takes all."""

    train: PositiveInt | None = None
    """Rows of the training data, those that validate included where they are drawn from it."""
    validation: PositiveInt | None = None
    """Rows of the validation data, where a task names some."""
    test: PositiveInt | None = None
    seed: int = 0


class PrepareSpec(Spec):
    """Texts to token ids, split and cut. Outside files: train, test, validation, tokenizer."""

    kind: Literal["prepare"] = "prepare"
    data: Annotated[FilesData | HubData | SampleData, Field(discriminator="source")]
    data_version: int = 1
    """Version of the generator for sample data, of the reader otherwise."""
    columns: Columns = Columns()
    sample: Sample = Sample()
    validation: ValidationSplit = ValidationSplit()
    tokenizer: str
    """Digest of the tokenizer's files."""
    text_only: bool = False
    """Whether only training texts are read, neither labels nor a test split: a corpus to train further on."""
    truncation: Truncation | Literal["whole"]
    """`whole` when no text is longer than the limit, or when there is none."""
    max_length: PositiveInt | None
    """Tokens of one text, special tokens included; none where texts are only read for pretraining."""
    head_tokens: PositiveInt | None = None
    """Body tokens kept from the head under `head+tail`; the rest of the budget comes from the tail."""
    window_overlap: Annotated[int, Field(ge=0)] | None = None
    """Under `windows`: tokens that a window shares with the one before it."""
    max_windows: PositiveInt | None = None
    """Under `windows`: how many windows of a text are kept, from its head."""
    pairs: Literal["joined", "apart"] = "joined"
    """Whether the texts of a pair are one example, or two of their own (to train on further)."""
    predict: Predict = "label"
    """Whether the label is one of several, or a number."""
    positive: str | None = None
    """The label that is the last one, and so that of which F1 is; in the order of the alphabet without."""


def target_of(columns: Columns, predict: Predict) -> Target:
    """What is to be predicted of each row."""
    if columns.choices is None:
        return predict
    return "choice" if columns.answers is None else "answers"


class PretrainSpec(Spec):
    """An encoder trained further on raw text.

    Parents: corpus/0, corpus/1, ... (prepare, whole texts), test/0, ... (prepare, whole texts: none of their
    test splits is trained on), encoder (optional, pretrain: the link of the chain before this one).
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
    """Step of the pretrain parent whose encoder is taken; its last one without."""
    training: Training
    seed: int
    checkpoints: tuple[Checkpoint, ...] = ()
    """Where along the training the encoder is kept too, as it is then."""
    selected_by: MetricName | OwnMetric | None = None
    """By which metric on the validation split the best weights are chosen; by its task type's without."""


class TextStatesSpec(Spec):
    """Pooled hidden states of every layer.

    Parents: data (prepare), model (optional: finetune or pretrain; else the outside file encoder).
    """

    kind: Literal["text_states"] = "text_states"
    encoder: str
    snapshot: Checkpoint | None = None
    """Step of a pretrain model, or checkpoint of a finetune model, whose encoder is taken; without, the one
    that it ended with."""
    pooling: TokenPooling
    num_train: PositiveInt
    """Training examples, the first of a seeded shuffle."""
    num_test: PositiveInt
    seed: int = 0
    choices_apart: bool = False
    """Whether the windows of a text are its choices, each of which then has a row of states of its own; else
    their mean is the text's. Examples are counted in texts either way."""


class RandomEncoderSpec(Spec):
    """An encoder of the same shape with fresh weights. Outside file: encoder."""

    kind: Literal["random_encoder"] = "random_encoder"
    encoder: str
    """Digest of the encoder whose configuration is taken."""
    seed: int = 0
