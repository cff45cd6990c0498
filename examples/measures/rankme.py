"""RankMe (Garrido et al. 2023, arXiv 2210.02885, eq. 1): exponential of the singular values' entropy."""

import numpy as np

from layerscope import Curve, LayerMeasure


def rank_me(states_ND: np.ndarray) -> float:
    """Between 1 and the smaller of N and D."""
    singular_values = np.linalg.svd(states_ND.astype(np.float64), compute_uv=False)
    shares = singular_values / singular_values.sum() + 1e-7
    return float(np.exp(-np.sum(shares * np.log(shares))))


def measure(layers, labels):
    return {"rankme": [rank_me(states_ND) for states_ND in layers]}


MEASURE = LayerMeasure(
    "RankMe", measure, {"rankme": Curve("RankMe of the hidden states", (0, float("inf")))}, needs_labels=False
)
