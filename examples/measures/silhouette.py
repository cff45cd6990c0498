"""The silhouette of the labels (Rousseeuw 1987), as scikit-learn computes it: `pip install scikit-learn`."""

import numpy as np
from sklearn.metrics import silhouette_score

from layerscope import Curve, LayerMeasure


def measure(layers, labels):
    num_labels = len(np.unique(labels))
    if not 2 <= num_labels < len(labels):
        return {"silhouette": [float("nan")] * len(layers)}
    return {"silhouette": [silhouette_score(states_ND, labels, metric="cosine") for states_ND in layers]}


MEASURE = LayerMeasure(
    "Silhouette of the labels", measure, {"silhouette": Curve("silhouette of the labels (cosine)", (-1, 1))}
)
