"""Views: a task's texts as one recipe sees them, tokenised and cut; identical ones are one stage."""

from typing import Any

from jobs.specs.stages import PrepareSpec
from jobs.text.truncation import middle_head
from orchestrator.experiment.experiment import Recipe
from orchestrator.planning.encoders import LocatedEncoder
from orchestrator.planning.plan import Stage, make_stage
from orchestrator.planning.sources import TaskSource


def view_of(source: TaskSource, encoder: LocatedEncoder, recipe: Recipe) -> Stage:
    """The texts as a recipe sees them; `whole` where none is longer than the limit."""
    if not source.exceeds(encoder, recipe.max_length):
        return _prepare(source, encoder, truncation="whole", max_length=None)
    cut = {"truncation": recipe.truncation, "max_length": recipe.max_length}
    match recipe.truncation:
        case "head+tail":
            cut["head_tokens"] = recipe.head_tokens
        case "middle" if source.task.columns.text_pair is None:
            head = middle_head(recipe.max_length - source.num_special(encoder))
            cut |= {"truncation": "head+tail", "head_tokens": head}
        case "windows":
            cut |= {"window_overlap": recipe.window_overlap, "max_windows": recipe.max_windows}
    return _prepare(source, encoder, **cut)


def whole_texts(source: TaskSource, encoder: LocatedEncoder) -> Stage:
    """The texts uncut, those of a pair each by itself."""
    pairs = "joined" if source.task.columns.text_pair is None else "apart"
    return _prepare(source, encoder, truncation="whole", max_length=None, pairs=pairs)


def _prepare(source: TaskSource, encoder: LocatedEncoder, **cut: Any) -> Stage:
    spec = PrepareSpec(
        data=source.data,
        data_version=source.data_version,
        columns=source.task.columns,
        sample=source.task.sample,
        validation=source.task.validation,
        tokenizer=encoder.tokenizer_digest,
        text_only=source.text_only,
        **cut,
    )
    return make_stage(spec, files=dict(source.files) | {"tokenizer": str(encoder.folder)})
