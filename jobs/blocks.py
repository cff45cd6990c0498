"""Blocks of similar layers in the map of one model, tested against layers that drift without a jump."""

import json
import math
from dataclasses import asdict

import numpy as np

from layerscope.jobs.context import StageContext
from layerscope.jobs.map_files import BLOCKS, read_similarity
from layerscope.jobs.numerics.blocks import FEWEST_LAYERS, find_blocks
from layerscope.jobs.specs.similarity import BlocksSpec


def run(spec: BlocksSpec, context: StageContext) -> dict[str, float]:
    """Writes `blocks.json`; layers that the map does not define are left out.

    Its `layers` are the numbers of the layers that were looked at, its `starts` those at which blocks
    begin. Where too few are left it says so under `reason`, and there are no metrics but their number.
    """
    similarity_LL = read_similarity(context.inputs["map"])
    defined = np.flatnonzero(np.isfinite(similarity_LL.diagonal()))
    content: dict[str, object] = {"layers": defined.tolist()}
    metrics = {"num_layers": float(len(defined))}
    if len(defined) < FEWEST_LAYERS:
        content["reason"] = f"{len(defined)} layers are defined, and blocks need {FEWEST_LAYERS}"
    else:
        found = asdict(
            find_blocks(
                similarity_LL[np.ix_(defined, defined)],
                max_blocks=spec.max_blocks,
                level=spec.level,
                num_draws=spec.num_draws,
                seed=spec.seed,
            )
        )
        starts = [int(defined[start]) for start in found.pop("starts")]
        numbers = {name: value for name, value in found.items() if math.isfinite(value)}
        content |= numbers | {"starts": starts}
        metrics |= {name: float(value) for name, value in numbers.items()}
    (context.out / BLOCKS).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return metrics
