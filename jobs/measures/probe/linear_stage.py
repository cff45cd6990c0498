"""A linear probe on every layer: how well labels, numbers or choices can be predicted linearly."""

import numpy as np

from layerscope.jobs.artifacts.layers import Part, read_layers, read_num_labels
from layerscope.jobs.context import StageContext
from layerscope.jobs.measures.probe.layer_probes import probe_layers
from layerscope.jobs.measures.probe.specs import ProbeSpec
from layerscope.jobs.specs.targets import TARGET_FACTS
from layerscope.jobs.targets.layer_heads import fit_heads, layer_scores


def run(spec: ProbeSpec, context: StageContext) -> dict[str, float]:
    """Logs test scores at step = layer; all layers are fitted together.

    For labels these are accuracy and macro F1; for numbers and choices every metric, with the heads of
    `jobs.kernels.probes.ridge` and `jobs.kernels.probes.conditional_logit`.
    """
    states = context.inputs["states"]
    train, test = read_layers(states, "train"), read_layers(states, "test")
    num_labels = read_num_labels(states)
    if not TARGET_FACTS[spec.target].has_labels:
        return _without_labels(spec, train, test, num_labels, context)
    result = probe_layers(spec, train, test, num_labels=num_labels, device=context.device)
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


def _without_labels(
    spec: ProbeSpec, train: Part, test: Part, num_labels: int, context: StageContext
) -> dict[str, float]:
    heads = fit_heads(
        train,
        spec.target,
        num_labels=num_labels,
        penalties=spec.penalties,
        seed=spec.seed,
        device=context.device,
    )
    usual, values = TARGET_FACTS[spec.target].selected_by, []
    for layer, head in enumerate(zip(heads.weight_LKD, heads.bias_LK, strict=True)):
        scores = layer_scores(test, layer, head, spec.target, num_labels=num_labels)
        context.log(layer, **scores)
        values.append(scores[usual])
    best = int(np.argmax(values))
    return {"best_layer": best, f"best_{usual}": values[best]}
