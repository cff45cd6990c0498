"""Recipes that a model with causal attention does not support."""

from collections.abc import Iterator

from layerscope.jobs.specs.faults import Fault, factor_fault
from layerscope.orchestrator.experiment.experiment import Experiment
from layerscope.orchestrator.experiment.variants import grid_cells, values_in
from layerscope.orchestrator.planning.sources.encoder_folders import LocatedEncoder


def decoder_faults(experiment: Experiment, encoder: LocatedEncoder, name: str) -> Iterator[Fault]:
    """Heads on the first token and masked tokens; none for other models.

    Args:
        name: Of the encoder in the experiment.
    """
    if not encoder.facts.is_causal:
        return
    cells = [cell for cell in grid_cells(experiment) if name in values_in(experiment, cell, "encoder")]
    why = f"attention in {encoder.name} ({encoder.facts.model_type}) is causal"
    if any(not task.has_units for task in (*experiment.tasks, *experiment.probing)):
        poolings = {value for cell in cells for value in values_in(experiment, cell, "pooling")}
        for pooling in sorted(poolings & {"cls", "pooler"}):
            message = f"{why}: must be last or mean, not {pooling}"
            yield factor_fault("pooling", message)
    starts = {str(value) for cell in cells for value in values_in(experiment, cell, "pretraining")}
    for start in sorted(starts - {"none"}):
        first = start.partition("@")[0]
        if first not in experiment.multi_task:
            message = f"{why}: it cannot predict masked tokens, so must be none, not {start}"
            yield factor_fault("pretraining", message)
            continue
        joint = experiment.multi_task[first]
        if joint.pooling == "cls":
            yield Fault(("multi_task", first, "pooling"), f"{why}: must be last or mean, not cls")
        if joint.after is not None:
            message = f"{why}: it cannot predict masked tokens: leave it out"
            yield Fault(("multi_task", first, "after"), message)
