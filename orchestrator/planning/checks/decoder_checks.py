"""Recipes that a model with causal attention does not support."""

from collections.abc import Iterator

from layerscope.orchestrator.experiment.experiment import Experiment
from layerscope.orchestrator.experiment.variants import grid_cells, values_in
from layerscope.orchestrator.planning.sources.encoder_folders import LocatedEncoder


def decoder_faults(experiment: Experiment, encoder: LocatedEncoder, name: str) -> Iterator[str]:
    """Heads on the first token and masked tokens, in words; none for other models.

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
            yield f"pooling: {why}: must be last or mean, not {pooling}"
    starts = {str(value) for cell in cells for value in values_in(experiment, cell, "pretraining")}
    for start in sorted(starts - {"none"}):
        first = start.partition("@")[0]
        if first not in experiment.multi_task:
            yield f"pretraining: {why}: it cannot predict masked tokens, so must be none, not {start}"
            continue
        joint = experiment.multi_task[first]
        if joint.pooling == "cls":
            yield f"multi_task.{first}.pooling: {why}: must be last or mean, not cls"
        if joint.after is not None:
            yield f"multi_task.{first}.after: {why}: it cannot predict masked tokens: leave it out"
