"""Checkpoints of a fine-tuning: order, names, and whether they are reached."""

from collections.abc import Iterator, Mapping
from math import ceil

from layerscope.jobs.specs.roles import AT
from layerscope.jobs.specs.stages import Checkpoint
from layerscope.jobs.text.reading.subsets import subset_size
from layerscope.orchestrator.experiment.experiment import Experiment
from layerscope.orchestrator.experiment.variants import possible_values


def at(checkpoint: Checkpoint) -> str:
    """What a measure at a checkpoint is called: `at-0.5` half way, `at-200` after 200 steps."""
    return f"{AT}{checkpoint}"


def kept_checkpoints(experiment: Experiment) -> tuple[Checkpoint, ...]:
    """Shares and then steps, each in the order of the training, however they are written."""
    return tuple(sorted(experiment.measures.checkpoints, key=lambda each: (isinstance(each, int), each)))


def checkpoint_faults(experiment: Experiment, num_train_by_task: Mapping[str, int]) -> Iterator[str]:
    """Steps that the shortest training of a task never reaches, in words."""
    last = max((each for each in experiment.measures.checkpoints if isinstance(each, int)), default=0)
    epochs = min(int(value) for value in possible_values(experiment, "epochs"))
    batch_size = max(int(value) for value in possible_values(experiment, "batch_size"))
    for task, num_train in num_train_by_task.items():
        asked = possible_values(experiment, "train_size")
        # The ends of a searched range are written with a point, numbers of texts too.
        sizes = [subset_size(int(each) if each and each >= 1 else each, num_train) for each in asked]
        num_steps = epochs * ceil(min(sizes) / batch_size)
        if last > num_steps:
            yield (
                f"measures.checkpoints: the shortest training of task {task} has {num_steps} steps, not "
                f"{last}: at most {num_steps}, or shares, as 0.5"
            )
