"""Annotated sentences, as one names them and as they enter a stage's identity."""

from typing import Annotated, Literal

from pydantic import Field

from layerscope.jobs.specs.spec import PositiveInt, Spec, Strict
from layerscope.jobs.specs.stages import Checkpoint, Columns, FilesData, HubData, Sample, ValidationSplit

AnnotatedLabel = str
"""`upos`, `xpos`, `deprel` (CoNLL-U); `role`, `function` (CoNLL-U-Lex); a field of JSON lines."""
SampleLabel = Literal["upos", "deprel", "role"]


class AnnotatedFilesData(Strict):
    """Digests of files with annotated sentences (outside files by role: train, validation, test)."""

    source: Literal["annotated"] = "annotated"
    train: str
    test: str
    label: AnnotatedLabel
    validation: str | None = None


class SampleAnnotationsData(Strict):
    """Sentences of the project's own generator with their gold annotation."""

    source: Literal["sample_annotations"] = "sample_annotations"
    label: SampleLabel
    num_train: PositiveInt = 200
    """Sentences."""
    num_test: PositiveInt = 200
    seed: int = 0


class TokeniseAnnotationsSpec(Spec):
    """Annotated sentences to token ids, and units to tokens.

    Outside files: train, validation, test, tokenizer.
    """

    kind: Literal["tokenise_annotations"] = "tokenise_annotations"
    data: Annotated[
        AnnotatedFilesData | SampleAnnotationsData | FilesData | HubData, Field(discriminator="source")
    ]
    """Rows of files or the Hub, with marked spans, are sentences with one unit each."""
    data_version: int = 1
    tokenizer: str
    """Digest of the tokenizer's files."""
    max_length: PositiveInt
    """Tokens of a sentence, special tokens included; longer sentences are left out."""
    sample: Sample = Sample()
    """So many sentences of each split, drawn before anything else."""
    validation: ValidationSplit | None = None
    """How sentences that validate are drawn from those of train, where none are given; none where labels are
    probed only."""
    columns: Columns | None = None
    """Of rows with marked spans."""


class SpanStatesSpec(Spec):
    """States of annotated units in every layer.

    Parents: data (tokenise_annotations), model (finetune or pretrain; the outside file encoder without).
    """

    kind: Literal["span_states"] = "span_states"
    encoder: str
    snapshot: Checkpoint | None = None
    """Step of a pretrain model, or checkpoint of a finetune model, whose encoder is taken; without, the one
    that it ended with."""
    num_train: PositiveInt
    """Training units, the first of a seeded shuffle."""
    num_test: PositiveInt
    seed: int = 0
