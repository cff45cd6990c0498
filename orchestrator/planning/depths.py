"""Whether the encoder has the layers that a recipe freezes, begins anew, adapts or gives rates to."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.experiment.experiment import Experiment
from orchestrator.experiment.variants import possible_values
from orchestrator.planning.encoders import LocatedEncoder

DEPTH_FIELDS = ("num_hidden_layers", "n_layers", "n_layer", "num_layers")
"""What model types call their depth in config.json."""


@dataclass(frozen=True)
class Depth:
    """The layers of an encoder as its config.json tells them."""

    num_layers: int | None
    """None where it does not say."""
    is_shared: bool
    """Whether layers share their weights, so that no rate, freezing or adapter can tell them apart."""


def depth_of(folder: Path) -> Depth:
    """The layers of an encoder in a folder."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    num_layers = next((config[name] for name in DEPTH_FIELDS if name in config), None)
    is_albert = config.get("model_type") == "albert"
    return Depth(num_layers, is_albert and config.get("num_hidden_groups", 1) != num_layers)


def depth_faults(experiment: Experiment, encoder: LocatedEncoder) -> list[str]:
    """What a recipe, grid or search asks of layers that are not there or share their weights, in words."""
    depth = depth_of(encoder.folder)
    if depth.is_shared:
        return list(_of_shared_layers(experiment, encoder.name))
    return list(_beyond(experiment, encoder.name, depth.num_layers)) if depth.num_layers else []


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
