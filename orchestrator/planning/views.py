"""Views: a task's texts as one recipe sees them, tokenised and cut; identical ones are one stage."""

from jobs.specs.stages import PrepareSpec
from orchestrator.experiment.experiment import Recipe
from orchestrator.planning.encoders import LocatedEncoder
from orchestrator.planning.plan import Stage, make_stage
from orchestrator.planning.sources import TaskSource


def view_of(source: TaskSource, encoder: LocatedEncoder, recipe: Recipe) -> Stage:
    """The texts as a recipe sees them; `whole` where none is longer than the limit."""
    if not source.exceeds(recipe.max_length):
        return whole_texts(source, encoder)
    head_tokens = recipe.head_tokens if recipe.truncation == "head+tail" else None
    return _prepare(
        source, encoder, truncation=recipe.truncation, max_length=recipe.max_length, head_tokens=head_tokens
    )


def whole_texts(source: TaskSource, encoder: LocatedEncoder) -> Stage:
    """The texts uncut."""
    return _prepare(source, encoder, truncation="whole", max_length=None, head_tokens=None)


def _prepare(
    source: TaskSource,
    encoder: LocatedEncoder,
    *,
    truncation: str,
    max_length: int | None,
    head_tokens: int | None,
) -> Stage:
    spec = PrepareSpec(
        data=source.data,
        data_version=source.data_version,
        columns=source.task.columns,
        validation=source.task.validation,
        tokenizer=encoder.tokenizer_digest,
        text_only=source.text_only,
        truncation=truncation,
        max_length=max_length,
        head_tokens=head_tokens,
    )
    return make_stage(spec, files=dict(source.files) | {"tokenizer": str(encoder.folder)})
