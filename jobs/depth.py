"""How many layers are needed: accuracy with only the first k of them (Phang et al. 2021)."""

import numpy as np
from safetensors.numpy import load_file

from jobs.context import StageContext
from jobs.encoders.layer_files import read_layers
from jobs.numerics.scores import accuracy, macro_f1
from jobs.specs.stages import DepthSpec


def run(spec: DepthSpec, context: StageContext) -> dict[str, float]:
    """The head reads each layer's pooled states; logs accuracy at step k = layers kept, 0 the embeddings."""
    test = read_layers(context.inputs["states"], "test")
    head = load_file(context.inputs["model"] / "head.safetensors")
    labels_N = np.asarray(test.labels)
    accuracies = []
    for kept, states_ND in enumerate(test.layers):
        predictions_N = (states_ND @ head["weight"].T + head["bias"]).argmax(axis=1)
        accuracies.append(accuracy(labels_N, predictions_N))
        scores = {"accuracy": accuracies[-1], "macro_f1": macro_f1(labels_N, predictions_N)}
        context.log(kept, **scores)
    return {"full_accuracy": accuracies[-1]}
