"""Blocks of similar layers in the map of one model, tested against smooth drift."""

import math
from dataclasses import asdict

import numpy as np

from layerscope.jobs.artifacts.layer_blocks import NUMBERS, LayerBlocks, write_layer_blocks, write_no_blocks
from layerscope.jobs.artifacts.maps import read_similarity
from layerscope.jobs.context import StageContext
from layerscope.jobs.kernels.similarity.block_structure import FEWEST_LAYERS, find_blocks
from layerscope.jobs.measures.similarity.specs import BlocksSpec


def run(spec: BlocksSpec, context: StageContext) -> dict[str, float]:
    """Writes the blocks; undefined layers of the map are left out.

    With too few layers left it writes the reason, and their number is the only metric.
    """
    similarity_LL = read_similarity(context.inputs["map"])
    assert similarity_LL is not None, "the stage has a map as parent"
    defined = np.flatnonzero(np.isfinite(similarity_LL.diagonal()))
    metrics = {"num_layers": float(len(defined))}
    if len(defined) < FEWEST_LAYERS:
        reason = f"{len(defined)} layers are defined, and blocks need {FEWEST_LAYERS}"
        write_no_blocks(context.out, defined.tolist(), reason=reason)
        return metrics
    found = find_blocks(
        similarity_LL[np.ix_(defined, defined)],
        max_blocks=spec.max_blocks,
        level=spec.level,
        num_draws=spec.num_draws,
        seed=spec.seed,
    )
    numbers = asdict(found)
    starts = tuple(int(defined[start]) for start in numbers.pop("starts"))
    write_layer_blocks(
        context.out,
        LayerBlocks(tuple(defined.tolist()), starts, **{name: numbers[name] for name in NUMBERS}),
    )
    return metrics | {name: float(value) for name, value in numbers.items() if math.isfinite(value)}
