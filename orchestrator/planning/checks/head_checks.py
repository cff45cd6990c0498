"""Whether the encoder has the layers and the pooler that a recipe's head reads."""

from collections.abc import Iterator

from layerscope.jobs.specs.faults import Fault, factor_fault
from layerscope.jobs.specs.layers import layers_read
from layerscope.orchestrator.experiment.experiment import Experiment
from layerscope.orchestrator.experiment.variants import possible_values
from layerscope.orchestrator.planning.sources.encoder_folders import LocatedEncoder


def head_faults(experiment: Experiment, encoder: LocatedEncoder) -> Iterator[Fault]:
    """Layers and poolers that are requested and not there."""
    facts = encoder.facts
    for layers in possible_values(experiment, "layers"):
        if layers == "last":
            continue
        if isinstance(layers, float):  # An end of a searched range.
            layers = int(layers)
        try:
            highest = layers_read(layers, facts.num_layers)[-1]
        except ValueError as error:
            yield factor_fault("layers", f"{encoder.name}: {error}")
            continue
        if highest < facts.num_layers and facts.cut_fault is not None:
            yield factor_fault("layers", f"{encoder.name}: {facts.cut_fault}; use last")
    if "pooler" in possible_values(experiment, "pooling") and not facts.has_pooler:
        message = f"{encoder.name} has no pooler weights; use cls, mean or last"
        yield factor_fault("pooling", message)
