"""Views: a task's data tokenised and truncated for one recipe; identical ones are one stage."""

from functools import partial
from typing import Any, assert_never

from layerscope.jobs.specs.annotations import TokeniseAnnotationsSpec
from layerscope.jobs.specs.stages import PrepareSpec
from layerscope.jobs.text.tokenising.truncation import middle_head
from layerscope.orchestrator.experiment.experiment import Experiment, Recipe
from layerscope.orchestrator.planning.plan import Stage, make_stage
from layerscope.orchestrator.planning.sources.encoder_folders import LocatedEncoder
from layerscope.orchestrator.planning.sources.sources import AnnotatedSource, TaskSource
from layerscope.orchestrator.planning.stages.sentence_stages import sentences_of


def tuned_on(
    experiment: Experiment, source: TaskSource | AnnotatedSource, encoder: LocatedEncoder, recipe: Recipe
) -> Stage[PrepareSpec | TokeniseAnnotationsSpec]:
    """What a task's variants with a recipe learn from: a view of its texts, or its annotated sentences."""
    if isinstance(source, AnnotatedSource):
        return annotated(experiment, source, encoder)
    return view_of(source, encoder, recipe)


def view_of(source: TaskSource, encoder: LocatedEncoder, recipe: Recipe) -> Stage[PrepareSpec]:
    """The texts tokenised for a recipe; `whole` if none is longer than the limit."""
    if not source.exceeds(encoder, recipe.max_length):
        return _prepare(source, encoder, truncation="whole", max_length=None)
    cut = partial(_prepare, source, encoder, max_length=recipe.max_length)
    match recipe.truncation:
        case "head+tail":
            return cut(truncation="head+tail", head_tokens=recipe.head_tokens)
        case "middle" if not source.are_pairs:
            head = middle_head(recipe.max_length - source.num_special(encoder))
            return cut(truncation="head+tail", head_tokens=head)
        case "windows":
            overlap, most = recipe.window_overlap, recipe.max_windows
            return cut(truncation="windows", window_overlap=overlap, max_windows=most)
        case "head" | "tail" | "middle":
            return cut(truncation=recipe.truncation)
        case never:
            assert_never(never)


def whole_texts(
    experiment: Experiment, source: TaskSource | AnnotatedSource, encoder: LocatedEncoder
) -> Stage[PrepareSpec | TokeniseAnnotationsSpec]:
    """The texts uncut, those of a pair each by itself, without choices; of annotated sentences the words.

    Answers are read, since there is no label beside them.
    """
    if isinstance(source, AnnotatedSource):
        return annotated(experiment, source, encoder)
    columns = source.task.columns
    if columns.answers is None:
        columns = columns.model_copy(update={"choices": None})
    pairs = "joined" if columns.text_pair is None and columns.answers is None else "apart"
    return _prepare(source, encoder, truncation="whole", max_length=None, pairs=pairs, columns=columns)


def in_windows(data: Stage) -> bool:
    """Whether a text is several sequences in what a stage leaves."""
    return isinstance(data.spec, PrepareSpec) and data.spec.truncation == "windows"


def are_pairs(data: Stage) -> bool:
    """Whether a row has two texts in what a stage leaves."""
    return isinstance(data.spec, PrepareSpec) and data.spec.columns.text_pair is not None


def annotated(
    experiment: Experiment, source: AnnotatedSource, encoder: LocatedEncoder
) -> Stage[TokeniseAnnotationsSpec]:
    """The sentences of an annotated task that is fine-tuned on; no factor of a recipe changes them."""
    length = experiment.measures.sentence_length
    return sentences_of(source, encoder, sentence_length=length, are_tuned_on=True)


def _prepare(source: TaskSource, encoder: LocatedEncoder, **fields: Any) -> Stage[PrepareSpec]:
    given = {"columns": source.task.columns} | fields
    spec = PrepareSpec(
        data=source.data,
        data_version=source.data_version,
        sample=source.task.sample,
        validation=source.task.validation,
        tokenizer=encoder.tokenizer_digest,
        text_only=source.text_only,
        predict=source.task.predict,
        positive=source.task.positive,
        **given,
    )
    return make_stage(spec, files=dict(source.files) | {"tokenizer": str(encoder.folder)})
