"""Minimum description length of training labels given each layer, by online code (Voita and Titov 2020)."""

import numpy as np

from layerscope.jobs.artifacts.layers import read_layers, read_num_labels
from layerscope.jobs.context import StageContext
from layerscope.jobs.kernels.probes.description_length import online_code
from layerscope.jobs.measures.probe.specs import DescriptionLengthSpec


def run(spec: DescriptionLengthSpec, context: StageContext) -> dict[str, float]:
    """Logs `bits` and `compression` (uniform code length / bits) at step = layer."""
    states = context.inputs["states"]
    train = read_layers(states, "train")
    code = online_code(
        train.layers,
        train.labels,
        num_classes=read_num_labels(states),
        seed=spec.seed,
        device=context.device,
    )
    for layer, bits in enumerate(code.bits_L):
        context.log(layer, bits=bits, compression=code.compression_L[layer])
    best = int(np.argmax(code.compression_L))
    return {
        "best_layer": best,
        "best_compression": float(code.compression_L[best]),
        "uniform_bits": code.uniform_bits,
    }
