"""Whether the encoder supports the continued pretraining of the experiment."""

from collections.abc import Iterator

from layerscope.jobs.text.tokenising.word_marks import continuing_tokens
from layerscope.orchestrator.experiment.experiment import Experiment
from layerscope.orchestrator.planning.sources.encoder_folders import LocatedEncoder


def objective_faults(experiment: Experiment, encoder: LocatedEncoder) -> list[str]:
    """Objectives without a head for this encoder, in words."""
    return [*_without_head(experiment, encoder), *_without_words(experiment, encoder)]


def _without_head(experiment: Experiment, encoder: LocatedEncoder) -> Iterator[str]:
    facts = encoder.facts
    for name, pretraining in experiment.pretraining.items():
        if not facts.has_masked_head and not facts.is_causal:
            yield (
                f"pretraining.{name}: {encoder.name} is of the type {facts.model_type}, for which "
                "transformers has no masked language model: leave the pretraining out, or use "
                "another encoder"
            )
        elif pretraining.next_sentence and not facts.has_next_sentence_head:
            yield (
                f"pretraining.{name}.next_sentence: {encoder.name} is of the type {facts.model_type}, for "
                "which transformers has no head for next sentences (it has one for BERT and a few more): "
                "must be false"
            )


def _without_words(experiment: Experiment, encoder: LocatedEncoder) -> list[str]:
    asking = [name for name, pretraining in experiment.pretraining.items() if pretraining.masking == "word"]
    if not asking:
        return []
    try:
        continuing_tokens(encoder.tokenizer)
    except ValueError as error:
        return [f"pretraining.{name}.masking: {error}" for name in asking]
    return []
