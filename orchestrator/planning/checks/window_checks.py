"""Whether texts can be read in the windows of the experiment."""

from collections.abc import Iterator, Mapping

from layerscope.jobs.specs.faults import Fault, factor_fault
from layerscope.jobs.text.tokenising.text_windows import LEAST_NEW_TOKENS
from layerscope.orchestrator.experiment.experiment import Experiment
from layerscope.orchestrator.experiment.variants import possible_values
from layerscope.orchestrator.planning.sources.encoder_folders import LocatedEncoder
from layerscope.orchestrator.planning.sources.sources import TaskSource


def window_faults(
    experiment: Experiment, encoder: LocatedEncoder, tasks: Mapping[str, TaskSource]
) -> Iterator[Fault]:
    """Overlaps that leave nothing new, and pairs whose first text leaves too little."""
    if "windows" not in possible_values(experiment, "truncation"):
        return
    shortest = min(int(value) for value in possible_values(experiment, "max_length"))
    overlap = max(int(value) for value in possible_values(experiment, "window_overlap"))
    for name, source in tasks.items():
        num_special = source.num_special(encoder)
        body = shortest - num_special
        told = f"in task {name} a window of {shortest} tokens"
        if overlap >= body:
            message = (
                f"{told} has {num_special} special ones, and {overlap} shared ones leave nothing new: at "
                f"most {body - 1}"
            )
            yield factor_fault("window_overlap", message)
        elif source.exceeds(encoder, shortest) and (place := source.crowded(encoder, shortest, overlap)):
            message = (
                f"{told} has room for less than {LEAST_NEW_TOKENS} new ones of the second text beside the "
                f"first text of {place}: use a larger max_length, less overlap, or another truncation"
            )
            yield factor_fault("truncation", message)
