"""Which layers of an encoder a head reads: as configured, and as numbers."""

from typing import Annotated

from pydantic import Field

from layerscope.jobs.specs.spec import PositiveInt

LAYER_WORDS = r"^(last|all|(first|last)-[1-9][0-9]*)$"

Layers = (
    Annotated[str, Field(pattern=LAYER_WORDS)]
    | PositiveInt
    | Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
)


def layers_read(layers: Layers, num_layers: int) -> tuple[int, ...]:
    """Layer numbers, ascending and unique; 1 is the layer above the embeddings.

    Raises:
        ValueError: the encoder has no such layer.
    """
    match layers:
        case "last":
            numbers = {num_layers}
        case "all":
            numbers = set(range(1, num_layers + 1))
        case str():
            end, _, count = layers.partition("-")
            first = 1 if end == "first" else num_layers - int(count) + 1
            numbers = set(range(first, first + int(count)))
        case int():
            numbers = {layers}
        case _:
            numbers = set(layers)
    missing = sorted(number for number in numbers if not 1 <= number <= num_layers)
    if isinstance(layers, str) and missing:
        raise ValueError(f"{layers} takes {len(numbers)} layers, and there are layers 1 to {num_layers}")
    if missing:
        raise ValueError(f"layer {missing[0]} does not exist: there are layers 1 to {num_layers}")
    return tuple(sorted(numbers))
