"""A probe on a control task, random labels per word type (Hewitt and Liang 2019)."""

from dataclasses import replace

import numpy as np

from layerscope.jobs.artifacts.curves import read_curves
from layerscope.jobs.artifacts.examples import SplitName
from layerscope.jobs.artifacts.layers import read_layers, read_num_labels
from layerscope.jobs.artifacts.sentences import read_annotated
from layerscope.jobs.context import StageContext
from layerscope.jobs.kernels.probes.control_tasks import control_labels
from layerscope.jobs.measures.probe.layer_probes import probe_layers
from layerscope.jobs.measures.probe.specs import ControlProbeSpec
from layerscope.jobs.text.tokenising.word_types import word_types


def run(spec: ControlProbeSpec, context: StageContext) -> dict[str, float]:
    """Logs at step = layer the accuracy on the control task, and `selectivity`: accuracy of the same probe on
    the true labels minus accuracy on the control task."""
    states = context.inputs["states"]
    num_labels = read_num_labels(states)
    splits: tuple[SplitName, ...] = ("train", "test")
    parts = {name: read_layers(states, name) for name in splits}
    shares = parts["train"].labels
    for name, part in parts.items():
        types_N = word_types(read_annotated(context.inputs["data"], name), part.ids)
        drawn_N = control_labels(types_N, shares, num_classes=num_labels, seed=spec.seed)
        parts[name] = replace(part, labels=drawn_N.tolist())
    control = probe_layers(
        spec.probe, parts["train"], parts["test"], num_labels=num_labels, device=context.device
    )
    accuracy_by_layer = {
        point.step: point.value
        for point in read_curves(context.inputs["probe"])
        if point.metric == "accuracy"
    }
    if missing := set(range(len(control.accuracy_L))) - accuracy_by_layer.keys():
        raise ValueError(f"the probe of the true labels has no accuracy of layers {sorted(missing)}")
    selectivity_L = np.array([accuracy_by_layer[layer] for layer in range(len(control.accuracy_L))])
    selectivity_L = selectivity_L - control.accuracy_L
    for layer, accuracy in enumerate(control.accuracy_L):
        context.log(layer, accuracy=accuracy, selectivity=selectivity_L[layer])
    most = int(np.argmax(selectivity_L))
    return {"most_selective_layer": most, "most_selectivity": float(selectivity_L[most])}
