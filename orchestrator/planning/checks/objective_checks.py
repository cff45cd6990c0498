"""Whether the encoder supports the continued pretraining of the experiment."""

from collections.abc import Iterator

from layerscope.jobs.specs.faults import Fault
from layerscope.jobs.text.tokenising.word_marks import continuing_tokens
from layerscope.orchestrator.experiment.experiment import Experiment
from layerscope.orchestrator.planning.sources.encoder_folders import LocatedEncoder


def objective_faults(experiment: Experiment, encoder: LocatedEncoder) -> list[Fault]:
    """Objectives that the encoder has no head for."""
    return [*_without_head(experiment, encoder), *_without_words(experiment, encoder)]


def _without_head(experiment: Experiment, encoder: LocatedEncoder) -> Iterator[Fault]:
    facts = encoder.facts
    is_of = f"{encoder.name} is of the type {facts.model_type}, for which"
    for name, pretraining in experiment.pretraining.items():
        if not facts.has_masked_head and not facts.is_causal:
            message = (
                f"{is_of} transformers has no masked language model: leave the pretraining out, "
                "or use another encoder"
            )
            yield Fault(("pretraining", name), message)
        elif pretraining.next_sentence and not facts.has_next_sentence_head:
            message = (
                f"{is_of} transformers has no head for next sentences (it has one for BERT and a few more): "
                "must be false"
            )
            yield Fault(("pretraining", name, "next_sentence"), message)


def _without_words(experiment: Experiment, encoder: LocatedEncoder) -> list[Fault]:
    asking = [name for name, pretraining in experiment.pretraining.items() if pretraining.masking == "word"]
    if not asking:
        return []
    try:
        continuing_tokens(encoder.tokenizer)
    except ValueError as error:
        return [Fault(("pretraining", name, "masking"), str(error)) for name in asking]
    return []
