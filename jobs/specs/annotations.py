"""Annotated sentences, as configured and as part of a stage's key."""

from typing import Annotated, Literal

from pydantic import Field

from layerscope.jobs.specs.spec import PositiveInt, Spec, Strict
from layerscope.jobs.specs.stages import Checkpoint, Columns, FilesData, HubData, Sample, ValidationSplit

AnnotatedLabel = str
"""`upos`, `xpos`, `deprel` (CoNLL-U); `role`, `function` (CoNLL-U-Lex); a field of JSON lines."""
SampleLabel = Literal["upos", "deprel", "role"]


class AnnotatedFilesData(Strict):
    """Digests of files with annotated sentences (external files by role: train, validation, test)."""

    source: Literal["annotated"] = "annotated"
    train: str
    test: str
    label: AnnotatedLabel
    validation: str | None = None


class SampleAnnotationsData(Strict):
    """Generated sentences with their gold annotation."""

    source: Literal["sample_annotations"] = "sample_annotations"
    label: SampleLabel
    num_train: PositiveInt = 200
    """Sentences."""
    num_test: PositiveInt = 200
    seed: int = 0


class TokeniseAnnotationsSpec(Spec):
    """Annotated sentences to token ids, and labelled spans to token positions.

    External files: train, validation, test, tokenizer.
    """

    kind: Literal["tokenise_annotations"] = "tokenise_annotations"
    data: Annotated[
        AnnotatedFilesData | SampleAnnotationsData | FilesData | HubData, Field(discriminator="source")
    ]
    """Rows of files or the Hub with marked spans are sentences with one labelled span each."""
    data_version: int = 1
    tokenizer: str
    """Digest of the tokenizer's files."""
    max_length: PositiveInt
    """Tokens of a sentence, special tokens included; longer sentences are left out."""
    sample: Sample = Sample()
    """Number of sentences sampled from each split, before anything else."""
    validation: ValidationSplit | None = None
    """How validation sentences are sampled from train if none are given; null if labels are
    probed only."""
    columns: Columns | None = None
    """Columns of rows with marked spans."""


class SpanStatesSpec(Spec):
    """Hidden states of labelled spans in every layer.

    Parents: data (tokenise_annotations), model (finetune or pretrain; without it, the external file encoder).
    """

    kind: Literal["span_states"] = "span_states"
    encoder: str
    snapshot: Checkpoint | None = None
    """Step of a pretrain model, or checkpoint of a finetune model, whose encoder is used; by default the
    final one."""
    num_train: PositiveInt
    """Training spans, the first of a seeded shuffle."""
    num_test: PositiveInt
    seed: int = 0
