"""Whether the encoder has the layers that a recipe freezes, reinitialises, adapts or gives rates to."""

from collections.abc import Iterator

from layerscope.orchestrator.experiment.experiment import Experiment
from layerscope.orchestrator.experiment.variants import possible_values
from layerscope.orchestrator.planning.encoders import LocatedEncoder


def depth_faults(experiment: Experiment, encoder: LocatedEncoder) -> list[str]:
    """What a recipe, grid or search asks of layers that are not there or share their weights, in words."""
    if encoder.facts.shares_layers:
        return list(_of_shared_layers(experiment, encoder.name))
    return list(_beyond(experiment, encoder.name, encoder.facts.num_layers))


def _of_shared_layers(experiment: Experiment, name: str) -> Iterator[str]:
    why = f"the layers of {name} share their weights, as ALBERT's do, so"
    decay = min(possible_values(experiment, "layer_decay"))
    if decay < 1:
        yield f"layer_decay: {why} they have one rate: must be 1, not {decay:g}"
    if frozen := _most_layers(experiment, "frozen_layers"):
        yield f"frozen_layers: {why} all or none are frozen: must be 0 or all, not {frozen}"
    if anew := _most_layers(experiment, "reinitialised_layers"):
        yield f"reinitialised_layers: {why} all or none begin anew: must be 0, not {anew}"
    ranks = [rank for rank in possible_values(experiment, "lora_rank") if rank is not None]
    if ranks:
        yield f"lora_rank: {why} no layer has adapters of its own: must be null, not {max(ranks):g}"


def _beyond(experiment: Experiment, name: str, num_layers: int) -> Iterator[str]:
    frozen, anew = (_most_layers(experiment, factor) for factor in ("frozen_layers", "reinitialised_layers"))
    faults = [
        f"{factor}: {name} has {num_layers} layers, not {asked}"
        for factor, asked in (("frozen_layers", frozen), ("reinitialised_layers", anew))
        if asked > num_layers
    ]
    yield from faults
    if not faults and frozen and anew and frozen + anew > num_layers:
        yield (
            f"reinitialised_layers: {anew} from above and {frozen} frozen ones from below are more than the "
            f"{num_layers} layers of {name}: new layers would never be trained; at most {num_layers - frozen}"
        )


def _most_layers(experiment: Experiment, factor: str) -> int:
    """The largest number that a factor may take; `all` is none."""
    numbers = [value for value in possible_values(experiment, factor) if not isinstance(value, str)]
    return max(map(int, numbers), default=0)
