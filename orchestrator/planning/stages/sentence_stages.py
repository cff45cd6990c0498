"""Annotated sentences as a stage: those that are fine-tuned on have a part that validates."""

from layerscope.jobs.specs.annotations import TokeniseAnnotationsSpec
from layerscope.orchestrator.planning.plan import Stage, make_stage
from layerscope.orchestrator.planning.sources.encoder_folders import LocatedEncoder
from layerscope.orchestrator.planning.sources.sources import AnnotatedSource


def sentences_of(
    source: AnnotatedSource, encoder: LocatedEncoder, *, sentence_length: int, are_tuned_on: bool
) -> Stage[TokeniseAnnotationsSpec]:
    """The sentences of a task and their units.

    Args:
        sentence_length: Tokens, special ones included; an encoder with a shorter table of positions has less.
    """
    positions = encoder.facts.positions
    spec = TokeniseAnnotationsSpec(
        data=source.data,
        data_version=source.data_version,
        tokenizer=encoder.tokenizer_digest,
        max_length=min(sentence_length, positions or sentence_length),
        sample=source.task.sample,
        validation=source.task.validation if are_tuned_on else None,
        columns=source.task.columns if source.task.columns.spans is not None else None,
    )
    return make_stage(spec, files=dict(source.files) | {"tokenizer": str(encoder.folder)})
