"""Whether the encoder can be trained further in the way that the experiment says."""

from jobs.text.tokenizer import load_tokenizer
from jobs.text.word_marks import continuing_tokens
from orchestrator.experiment.experiment import Experiment
from orchestrator.planning.encoders import LocatedEncoder, model_type

WITH_NEXT_SENTENCE = ("bert", "ernie", "megatron-bert", "mobilebert")
"""Model types that have a head for next sentences in transformers (`...ForPreTraining`)."""


def objective_faults(experiment: Experiment, encoder: LocatedEncoder) -> list[str]:
    """Objectives that the encoder has no head for, in words."""
    return [*_without_next_sentence(experiment, encoder), *_without_words(experiment, encoder)]


def _without_next_sentence(experiment: Experiment, encoder: LocatedEncoder) -> list[str]:
    kind = model_type(encoder.folder)
    if kind in WITH_NEXT_SENTENCE:
        return []
    return [
        f"pretraining.{name}.next_sentence: {encoder.name} is of the type {kind}, which has no head for next "
        f"sentences; of the types {', '.join(WITH_NEXT_SENTENCE)} encoders have one"
        for name, pretraining in experiment.pretraining.items()
        if pretraining.next_sentence
    ]


def _without_words(experiment: Experiment, encoder: LocatedEncoder) -> list[str]:
    asking = [name for name, pretraining in experiment.pretraining.items() if pretraining.masking == "word"]
    if not asking:
        return []
    try:
        continuing_tokens(load_tokenizer(encoder.folder))
    except ValueError as error:
        return [f"pretraining.{name}.masking: {error}" for name in asking]
    return []
