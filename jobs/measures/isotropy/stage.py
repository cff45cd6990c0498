"""Isotropy of every layer: effective rank, evenness, intrinsic dimension, variance between labels."""

from dataclasses import fields

import numpy as np

from layerscope.jobs.artifacts.layers import read_layers
from layerscope.jobs.context import StageContext
from layerscope.jobs.kernels.similarity.isotropy_scores import Spread, measure_spread
from layerscope.jobs.measures.isotropy.specs import SpreadSpec


def run(spec: SpreadSpec, context: StageContext) -> dict[str, float]:
    """Logs the fields of `jobs.kernels.similarity.isotropy_scores.Spread` on test examples at step = layer,
    where finite:
    `effective_rank`, `participation_ratio`, `mean_cosine`, `isoscore`, `intrinsic_dimension`,
    `between_within`."""
    test = read_layers(context.inputs["states"], "test")
    found = measure_spread(test.layers, test.labels)
    curves = {field.name.removesuffix("_L"): getattr(found, field.name) for field in fields(Spread)}
    for layer in range(len(test.layers)):
        values = {name: float(curve[layer]) for name, curve in curves.items()}
        context.log(layer, **{name: value for name, value in values.items() if np.isfinite(value)})
    return {"layers": float(len(test.layers))}
