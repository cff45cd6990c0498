"""Whether tasks have the training texts, and trainings the steps, that the experiment requests."""

from collections.abc import Iterator, Mapping
from math import ceil

from layerscope.jobs.specs.faults import Fault, factor_fault
from layerscope.jobs.text.reading.subsets import subset_size
from layerscope.orchestrator.experiment.experiment import Experiment
from layerscope.orchestrator.experiment.variants import possible_values


def size_faults(experiment: Experiment, num_train_by_task: Mapping[str, int]) -> list[Fault]:
    """Sizes that are more than a task has texts, or sentences; else checkpoints that are never reached."""
    return _train_sizes(experiment, num_train_by_task) or list(_checkpoints(experiment, num_train_by_task))


def _train_sizes(experiment: Experiment, num_train_by_task: Mapping[str, int]) -> list[Fault]:
    sizes = [size for size in possible_values(experiment, "train_size") if size is not None]
    largest = max(sizes, default=0)
    return [
        factor_fault(
            "train_size",
            f"task {task} has {num_train} training texts, not {largest:g}: at most {num_train}, or a share "
            "below 1",
        )
        for task, num_train in num_train_by_task.items()
        if largest > num_train
    ]


def _checkpoints(experiment: Experiment, num_train_by_task: Mapping[str, int]) -> Iterator[Fault]:
    """Steps that the shortest training of a task never reaches."""
    last = max((each for each in experiment.measures.checkpoints if isinstance(each, int)), default=0)
    epochs = min(int(value) for value in possible_values(experiment, "epochs"))
    batch_size = max(int(value) for value in possible_values(experiment, "batch_size"))
    for task, num_train in num_train_by_task.items():
        asked = possible_values(experiment, "train_size")
        # The ends of a searched range are written with a point, numbers of texts too.
        sizes = [subset_size(int(each) if each and each >= 1 else each, num_train) for each in asked]
        num_steps = epochs * ceil(min(sizes) / batch_size)
        if last > num_steps:
            message = (
                f"the shortest training of task {task} has {num_steps} steps, not {last}: at most "
                f"{num_steps}, or shares, as 0.5"
            )
            yield Fault(("measures", "checkpoints"), message)
