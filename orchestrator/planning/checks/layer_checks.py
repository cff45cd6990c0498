"""Whether the encoder has the layers that a recipe freezes, reinitialises, adapts or gives rates to."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from layerscope.jobs.specs.faults import Fault, factor_fault
from layerscope.jobs.specs.layers import layers_read
from layerscope.orchestrator.experiment.experiment import Experiment
from layerscope.orchestrator.experiment.variants import grid_cells, possible_values, values_in
from layerscope.orchestrator.planning.sources.encoder_folders import LocatedEncoder


def depth_faults(experiment: Experiment, encoder: LocatedEncoder, name: str) -> list[Fault]:
    """Factors for layers that do not exist, are removed, or share their weights.

    Args:
        name: Of the encoder in the experiment.
    """
    if encoder.facts.shares_layers:
        return list(_of_shared_layers(experiment, encoder.name))
    beyond = list(_beyond(experiment, encoder.name, encoder.facts.num_layers))
    return beyond or list(dict.fromkeys(_beyond_cuts(experiment, encoder, name)))


def _of_shared_layers(experiment: Experiment, name: str) -> Iterator[Fault]:
    why = f"the layers of {name} share their weights, as ALBERT's do, so"
    decay = min(possible_values(experiment, "layer_decay"))
    if decay < 1:
        yield factor_fault("layer_decay", f"{why} they have one learning rate: must be 1, not {decay:g}")
    if frozen := _most_layers(experiment, "frozen_layers"):
        yield factor_fault("frozen_layers", f"{why} all or none are frozen: must be 0 or all, not {frozen}")
    if anew := _most_layers(experiment, "reinitialised_layers"):
        yield factor_fault(
            "reinitialised_layers", f"{why} all or none are re-initialised: must be 0, not {anew}"
        )
    ranks = [rank for rank in possible_values(experiment, "lora_rank") if rank is not None]
    if ranks:
        message = f"{why} layers cannot have separate adapters: must be null, not {max(ranks):g}"
        yield factor_fault("lora_rank", message)


def _beyond(experiment: Experiment, name: str, num_layers: int) -> Iterator[Fault]:
    frozen, anew = (_most_layers(experiment, factor) for factor in ("frozen_layers", "reinitialised_layers"))
    faults = [
        factor_fault(factor, f"{name} has {num_layers} layers, not {asked}")
        for factor, asked in (("frozen_layers", frozen), ("reinitialised_layers", anew))
        if asked > num_layers
    ]
    yield from faults
    if not faults and frozen and anew and frozen + anew > num_layers:
        message = (
            f"{anew} from above and {frozen} frozen ones from below are more than the {num_layers} layers of "
            f"{name}: new layers would never be trained; at most {num_layers - frozen}"
        )
        yield factor_fault("reinitialised_layers", message)


def _beyond_cuts(experiment: Experiment, encoder: LocatedEncoder, name: str) -> Iterator[Fault]:
    """Of the cells in which the encoder is trained and cut off above the layers that the head reads."""
    for cell in grid_cells(experiment):
        is_trained = None in values_in(experiment, cell, "features")
        if not is_trained or name not in values_in(experiment, cell, "encoder"):
            continue
        for layers in values_in(experiment, cell, "layers"):
            highest = _highest_read(layers, encoder.facts.num_layers)
            if highest < encoder.facts.num_layers:
                why = f"with layers {layers}, {encoder.name} is cut to its lowest {highest}"
                yield from _more_than(experiment, cell, highest, why)


def _more_than(experiment: Experiment, cell: Mapping[str, Any], num_layers: int, why: str) -> Iterator[Fault]:
    asked = {
        factor: _most(values_in(experiment, cell, factor))
        for factor in ("frozen_layers", "reinitialised_layers")
    }
    faults = [
        factor_fault(factor, f"{why}: must be at most {num_layers}, not {number}")
        for factor, number in asked.items()
        if number > num_layers
    ]
    yield from faults
    frozen, anew = asked.values()
    if not faults and frozen and anew and frozen + anew > num_layers:
        message = (
            f"{why}, of which {frozen} are frozen: new layers would never be trained; at most "
            f"{num_layers - frozen}, not {anew}"
        )
        yield factor_fault("reinitialised_layers", message)


def _highest_read(layers: Any, num_layers: int) -> int:
    """The highest layer that a head reads; the encoder's if the layers do not exist, which is reported
    elsewhere."""
    try:
        return layers_read(int(layers) if isinstance(layers, float) else layers, num_layers)[-1]
    except ValueError:
        return num_layers


def _most_layers(experiment: Experiment, factor: str) -> int:
    return _most(possible_values(experiment, factor))


def _most(values: Iterable[Any]) -> int:
    """The largest number that a factor may take; `all` is none."""
    return max((int(value) for value in values if not isinstance(value, str)), default=0)
