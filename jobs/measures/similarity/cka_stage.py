"""Linear CKA of every pair of layers, within a model or against the base model."""

import numpy as np

from layerscope.jobs.artifacts.layers import read_layers
from layerscope.jobs.artifacts.maps import LayerMap, write_map
from layerscope.jobs.context import StageContext
from layerscope.jobs.kernels.similarity.activations import check_paired
from layerscope.jobs.kernels.similarity.cka import cka_map
from layerscope.jobs.measures.similarity.specs import CkaSpec


def run(spec: CkaSpec, context: StageContext) -> dict[str, float]:
    """Writes the map (rows: layers of the fine-tuned model) and logs its diagonal at step = layer.

    The base model may have more layers than the fine-tuned model: the diagonal then ends at the common depth.

    Raises:
        ValueError: the two artifacts do not have the same examples in the same order.
    """
    own = read_layers(context.inputs["states"], "test")
    if spec.against == "itself":
        similarity_LL = cka_map(own.layers, debiased=spec.debiased)
        metric, curve = "next_layer", np.diagonal(similarity_LL, offset=1)
    else:
        other = read_layers(context.inputs["other"], "test")
        check_paired(own.ids, other.ids)
        similarity_LL = cka_map(own.layers, other.layers, debiased=spec.debiased)
        metric, curve = "same_layer", np.diagonal(similarity_LL)
    write_map(context.out, LayerMap(similarity_LL))
    for layer, value in enumerate(curve):
        if np.isfinite(value):
            context.log(layer, **{metric: value})
    return {f"mean_{metric}": float(np.mean(curve[np.isfinite(curve)]))} if np.isfinite(curve).any() else {}
