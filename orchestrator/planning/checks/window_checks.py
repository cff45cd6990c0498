"""Whether texts can be read in the windows of the experiment."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from layerscope.jobs.text.reading.rows import Row
from layerscope.jobs.text.tokenising.text_windows import LEAST_NEW_TOKENS, is_crowded
from layerscope.jobs.text.tokenising.truncation import bodies_of
from layerscope.orchestrator.experiment.experiment import Experiment
from layerscope.orchestrator.experiment.variants import possible_values
from layerscope.orchestrator.planning.sources.encoder_folders import LocatedEncoder

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from layerscope.orchestrator.planning.sources.sources import TaskSource


def window_faults(
    experiment: Experiment, encoder: LocatedEncoder, tasks: Mapping[str, "TaskSource"]
) -> Iterator[str]:
    """Overlaps that leave nothing new, and pairs whose first text leaves too little, in words."""
    if "windows" not in possible_values(experiment, "truncation"):
        return
    shortest = min(int(value) for value in possible_values(experiment, "max_length"))
    overlap = max(int(value) for value in possible_values(experiment, "window_overlap"))
    for name, source in tasks.items():
        num_special = source.num_special(encoder)
        body = shortest - num_special
        told = f"in task {name} a window of {shortest} tokens"
        if overlap >= body:
            yield (
                f"window_overlap: {told} has {num_special} special ones, and {overlap} shared ones "
                f"leave nothing new: at most {body - 1}"
            )
        elif source.exceeds(encoder, shortest) and (place := source.crowded(encoder, shortest, overlap)):
            yield (
                f"truncation: {told} has room for less than {LEAST_NEW_TOKENS} new ones of the second text "
                f"beside the first text of {place}: use a larger max_length, less overlap, or another "
                "truncation"
            )


def first_crowded(
    rows_by_file: Mapping[str, Sequence[Row]], tokenizer: "Tokenizer", budget: int, overlap: int
) -> str | None:
    """File and row of the first pair that is not one window and whose first text leaves too little room."""
    for file, rows in rows_by_file.items():
        firsts = bodies_of([row.text for row in rows], tokenizer)
        seconds = bodies_of([row.text_pair or "" for row in rows], tokenizer)
        for row, first, second in zip(rows, firsts, seconds, strict=True):
            if len(first) + len(second) > budget and is_crowded(budget - len(first), overlap=overlap):
                return f"{file}:{row.id}"
    return None
