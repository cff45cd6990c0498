"""Checkpoints along a fine-tuning: in which order, and what they are called."""

from layerscope.jobs.specs.roles import AT
from layerscope.jobs.specs.stages import Checkpoint
from layerscope.orchestrator.experiment.experiment import Experiment


def at(checkpoint: Checkpoint) -> str:
    """What a measure at a checkpoint is called: `at-0.5` half way, `at-200` after 200 steps."""
    return f"{AT}{checkpoint}"


def kept_checkpoints(experiment: Experiment) -> tuple[Checkpoint, ...]:
    """Shares and then steps, each in the order of the training, however they are written."""
    return tuple(sorted(experiment.measures.checkpoints, key=lambda each: (isinstance(each, int), each)))
