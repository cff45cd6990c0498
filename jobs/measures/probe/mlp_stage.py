"""An MLP probe with two hidden layers on every layer (Zhou and Srikumar 2022): the best of many, refitted."""

import numpy as np

from layerscope.jobs.artifacts.layers import read_layers, read_num_labels
from layerscope.jobs.context import StageContext
from layerscope.jobs.measures.probe.layer_probes import probe_layers
from layerscope.jobs.measures.probe.specs import MlpProbeSpec


def run(spec: MlpProbeSpec, context: StageContext) -> dict[str, float]:
    """Logs at step = layer test accuracy and macro F1, means over initialisations, their standard deviation
    `accuracy_deviation`, and the selected `decay`, `size_first` and `size_second`."""
    states = context.inputs["states"]
    result = probe_layers(
        spec,
        read_layers(states, "train"),
        read_layers(states, "test"),
        num_labels=read_num_labels(states),
        device=context.device,
    )
    for layer, sizes in enumerate(result.sizes_L):
        context.log(
            layer,
            accuracy=result.accuracy_L[layer],
            accuracy_deviation=result.accuracy_deviation_L[layer],
            macro_f1=result.macro_f1_L[layer],
            decay=result.penalty_L[layer],
            size_first=sizes[0],
            size_second=sizes[1],
        )
    best = int(np.argmax(result.accuracy_L))
    return {
        "best_layer": best,
        "best_accuracy": float(result.accuracy_L[best]),
        "majority_accuracy": float(result.majority_accuracy),
    }
