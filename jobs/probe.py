"""A linear probe on every layer: how much of the label is linearly readable there."""

import numpy as np

from jobs.context import StageContext
from jobs.encoders.layer_files import read_layers, read_num_labels
from jobs.encoders.layer_probes import probe_layers
from jobs.specs.stages import ProbeSpec


def run(spec: ProbeSpec, context: StageContext) -> dict[str, float]:
    """All layers together; logs accuracy and macro F1 on test examples at step = layer."""
    states = context.inputs["states"]
    train, test = read_layers(states, "train"), read_layers(states, "test")
    result = probe_layers(spec, train, test, num_labels=read_num_labels(states), device=context.device)
    for layer in range(len(train.layers)):
        context.log(
            layer,
            **{
                "accuracy": result.accuracy_L[layer],
                "macro_f1": result.macro_f1_L[layer],
            },
        )
    best = int(np.argmax(result.accuracy_L))
    return {
        "best_layer": best,
        "best_accuracy": float(result.accuracy_L[best]),
        "majority_accuracy": float(result.majority_accuracy),
    }
