"""Whether the encoder can take texts and blocks as long as the experiment says."""

from collections.abc import Callable, Mapping

from layerscope.jobs.specs.faults import Fault, factor_fault
from layerscope.jobs.text.tokenising.special_tokens import frame_of
from layerscope.orchestrator.experiment.experiment import Experiment
from layerscope.orchestrator.experiment.variants import possible_values
from layerscope.orchestrator.planning.sources.encoder_folders import LocatedEncoder


def length_faults(
    experiment: Experiment, encoder: LocatedEncoder, exceeds_by_task: Mapping[str, Callable[[int], bool]]
) -> list[Fault]:
    """What is too long, or leaves no room.

    Args:
        exceeds_by_task: Whether any text of a task has more tokens than a limit.
    """
    return [*_too_long(experiment, encoder, exceeds_by_task), *_without_room(experiment, encoder)]


def _too_long(
    experiment: Experiment, encoder: LocatedEncoder, exceeds_by_task: Mapping[str, Callable[[int], bool]]
) -> list[Fault]:
    positions = encoder.facts.positions
    if positions is None:
        return []
    told = f"{encoder.name} has positions for {positions} tokens"
    faults = [
        Fault(("pretraining", name, "block_length"), f"{told}, not for {pretraining.block_length}")
        for name, pretraining in experiment.pretraining.items()
        if pretraining.block_length > positions
    ]
    longest = max(int(value) for value in possible_values(experiment, "max_length"))
    if longest > positions:
        faults += [
            factor_fault("max_length", f"{told}, not for {longest}, and task {task} has longer texts")
            for task, exceeds in exceeds_by_task.items()
            if exceeds(positions)
        ]
    return faults


def _without_room(experiment: Experiment, encoder: LocatedEncoder) -> list[Fault]:
    given = [int(value) for value in possible_values(experiment, "head_tokens") if value is not None]
    if not given or "head+tail" not in possible_values(experiment, "truncation"):
        return []
    shortest = min(int(value) for value in possible_values(experiment, "max_length"))
    num_special = frame_of(encoder.tokenizer, num_parts=1).num_special
    if max(given) < shortest - num_special:
        return []
    message = (
        f"{max(given)} leaves nothing for the tail of {shortest} tokens, of which {num_special} are special "
        f"ones: at most {shortest - num_special - 1}"
    )
    return [factor_fault("head_tokens", message)]
