"""Examples for networks, and the slow obvious version of their training."""

import numpy as np
import torch

from layerscope.jobs.kernels.probes.mlp_choice import Validation
from layerscope.jobs.kernels.probes.mlp_training import Examples, begin_cohorts


def examples(*, num_layers=2, num_examples=90, width=12, num_classes=3, strength=1.0, seed=0):
    """Clouds of classes, a third each: fitted, validation, and test with its labels."""
    rng = np.random.default_rng(seed)
    labels = torch.from_numpy(rng.integers(num_classes, size=num_examples))
    centres = torch.from_numpy(strength * rng.normal(size=(num_layers, num_classes, width)))
    noise = torch.from_numpy(rng.normal(size=(num_layers, num_examples, width)))
    layers = (noise + centres[:, labels]).float()
    third = num_examples // 3
    return (
        Examples(layers[:, :third], labels[:third], num_classes),
        Validation(layers[:, third : 2 * third], labels[third : 2 * third]),
        Validation(layers[:, 2 * third :], labels[2 * third :]),
    )


def train_one(data, member, schedule, *, epochs, seed, asked_LND):
    """One torch module, autograd and torch.optim.Adam: the logits for what is asked, epoch by epoch."""
    width, (first, second) = data.layers_LND.shape[2], member.sizes
    network = torch.nn.Sequential(
        torch.nn.Linear(width, first),
        torch.nn.ReLU(),
        torch.nn.Linear(first, second),
        torch.nn.ReLU(),
        torch.nn.Linear(second, data.num_classes),
    )
    (untrained,) = begin_cohorts(data, [member], schedule=schedule, seed=seed)
    start = [part[0] for part in untrained.weights]
    linear = network[0], network[2], network[4]
    with torch.no_grad():
        for index, layer in enumerate(linear):
            layer.weight.copy_(start[2 * index])
            layer.bias.copy_(start[2 * index + 1][:, 0])
    optimiser = torch.optim.Adam(network.parameters(), lr=schedule.learning_rate)
    features_ND = data.layers_LND[member.layer]
    for epoch in range(1, epochs + 1):
        order = torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(len(features_ND)))
        for batch in order.tensor_split(round(len(order) / schedule.batch_size)):
            optimiser.zero_grad()
            squares = sum(layer.weight.square().sum() for layer in linear)
            loss = torch.nn.functional.cross_entropy(network(features_ND[batch]), data.labels_N[batch])
            (loss + member.decay / (2 * len(batch)) * squares).backward()
            optimiser.step()
        with torch.no_grad():
            yield network(asked_LND[member.layer])
