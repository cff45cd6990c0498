"""A k-nearest-neighbour probe: how often the neighbours of an example, by cosine, have its label."""

import numpy as np

from layerscope import Curve, LayerMeasure

K = 5


def accuracy(states_ND: np.ndarray, labels_N: np.ndarray) -> float:
    """Of the majority label among the K nearest other examples; NaN where there are too few."""
    if len(states_ND) <= K:
        return float("nan")
    norms_N = np.linalg.norm(states_ND, axis=1, keepdims=True)
    unit_ND = states_ND / np.maximum(norms_N, 1e-12)
    cosine_NN = unit_ND @ unit_ND.T
    np.fill_diagonal(cosine_NN, -np.inf)
    nearest_NK = np.argsort(-cosine_NN, axis=1, kind="stable")[:, :K]
    votes = [np.bincount(labels_N[nearest]).argmax() for nearest in nearest_NK]
    return float(np.mean(np.array(votes) == labels_N))


def measure(layers, labels):
    return {"accuracy": [accuracy(states_ND, labels) for states_ND in layers]}


MEASURE = LayerMeasure(
    "Nearest neighbours", measure, {"accuracy": Curve(f"accuracy of the {K} nearest neighbours", (0, 1))}
)
