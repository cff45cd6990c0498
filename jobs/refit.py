"""How many layers are needed where a linear head is fitted anew to each layer's training states."""

import numpy as np

from jobs.context import StageContext
from jobs.encoders.layer_files import read_layers, read_num_labels
from jobs.encoders.layer_heads import write_layer_heads
from jobs.numerics.refitted_heads import refitted_heads
from jobs.numerics.scores import accuracy, macro_f1
from jobs.specs.stages import RefitSpec


def run(spec: RefitSpec, context: StageContext) -> dict[str, float]:
    """Writes the heads of all layers, and logs accuracy at step k = layers kept, 0 the embeddings.

    Raises:
        ValueError: no class has the examples from which one can be held out to choose a penalty on.
    """
    states = context.inputs["states"]
    train, test = read_layers(states, "train"), read_layers(states, "test")
    heads = refitted_heads(
        train.layers,
        train.labels,
        penalties=spec.penalties,
        num_classes=read_num_labels(states),
        seed=spec.seed,
        device=context.device,
    )
    write_layer_heads(context.out, heads.weight_LKD, heads.bias_LK)
    labels_N = np.asarray(test.labels)
    accuracies = []
    for kept, predictions_N in enumerate(heads.predict(test.layers)):
        accuracies.append(accuracy(labels_N, predictions_N))
        context.log(kept, accuracy=accuracies[-1], macro_f1=macro_f1(labels_N, predictions_N))
    return {"full_accuracy": accuracies[-1], "train/examples": float(len(train.ids))}
