"""Computes a plug-in measure on every layer of the test examples."""

import numpy as np

from layerscope.jobs.artifacts.layers import read_layers
from layerscope.jobs.context import StageContext
from layerscope.jobs.measures.plugin.loading import load
from layerscope.jobs.measures.plugin.specs import PluginSpec
from layerscope.jobs.user_code import Source, naming_lines_of


def run(spec: PluginSpec, context: StageContext) -> dict[str, float]:
    """Logs the finite values of the declared curves at step = layer.

    Raises:
        ValueError: the file has changed since planning, or the function does not return one value per layer
            for every declared curve.
    """
    path = context.inputs["source"]
    measure = load(Source(path, spec.entry_point), digest=spec.source)
    test = read_layers(context.inputs["states"], "test")
    with naming_lines_of(path):
        returned = measure.function(list(test.layers), np.asarray(test.labels))
    if not isinstance(returned, dict) or returned.keys() != measure.curves.keys():
        what = sorted(returned) if isinstance(returned, dict) else type(returned).__name__
        raise ValueError(f"{path}: returned {what}, not a dict with the curves {sorted(measure.curves)}")
    curves = {name: np.asarray(values, dtype=np.float64) for name, values in returned.items()}
    for name, values_L in curves.items():
        if values_L.shape != (len(test.layers),):
            raise ValueError(
                f"{path}: {name} has the shape {values_L.shape} instead of one value for each of the "
                f"{len(test.layers)} layers"
            )
    for layer in range(len(test.layers)):
        values = {name: float(values_L[layer]) for name, values_L in curves.items()}
        context.log(layer, **{name: value for name, value in values.items() if np.isfinite(value)})
    return {"layers": float(len(test.layers))}
