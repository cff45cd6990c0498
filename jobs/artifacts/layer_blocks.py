"""Blocks of similar layers in the similarity map of one model."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path

BLOCKS = "blocks.json"


@dataclass(frozen=True)
class LayerBlocks:
    """A segmentation of the layers; `jobs.kernels.similarity.block_structure` explains its numbers."""

    layers: tuple[int, ...]
    """Layers with values in the map."""
    starts: tuple[int, ...]
    """First layer of each block; a single one if no segmentation is significant against drift."""
    gain: float
    excess: float
    lag_contrast: float
    p_value: float

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """First and last layer of each block."""
        return ranges_of(self.layers, self.starts)


NUMBERS = ("gain", "excess", "lag_contrast", "p_value")


def ranges_of(layers: Sequence[int], starts: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """First and last layer of the blocks with these first layers."""
    places = [layers.index(start) for start in starts]
    ends = [*places[1:], len(layers)]
    return tuple((layers[place], layers[end - 1]) for place, end in zip(places, ends, strict=True))


def write_layer_blocks(folder: Path, blocks: LayerBlocks) -> None:
    """Write the segmentation; numbers that are not finite are left out."""
    numbers = {name: value for name in NUMBERS if isfinite(value := getattr(blocks, name))}
    _write(folder, {"layers": list(blocks.layers)} | numbers | {"starts": list(blocks.starts)})


def write_no_blocks(folder: Path, layers: Sequence[int], *, reason: str) -> None:
    """Write why there is no segmentation."""
    _write(folder, {"layers": list(layers), "reason": reason})


def read_layer_blocks(folder: Path) -> LayerBlocks | None:
    """The written segmentation; None if there is none."""
    path = folder / BLOCKS
    if not path.exists():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    if "reason" in content:
        return None
    numbers = {name: content.get(name, nan) for name in NUMBERS}
    return LayerBlocks(tuple(content["layers"]), tuple(content["starts"]), **numbers)


def _write(folder: Path, content: dict[str, object]) -> None:
    (folder / BLOCKS).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
