"""How wide clusters are: the distances of the points within them.

Axes: N points, D coordinates, K clusters, B points of one block.
"""

from dataclasses import dataclass

import numpy as np
import torch

_BLOCK_ENTRIES = 8_000_000
"""Distances held at once (64 MB in float64)."""


@dataclass(frozen=True)
class ClusterWidths:
    greatest_K: np.ndarray
    """The greatest distance of two points of the cluster; 0 for a single point."""

    mean_K: np.ndarray
    """The mean over all pairs of different points; NaN for a single point."""


def cluster_widths(points_ND: np.ndarray, cluster_N: np.ndarray, *, device: str = "cpu") -> ClusterWidths:
    """The "inside max" and "inside mean" of Zhou and Srikumar 2022. Rows of cluster -1 count nowhere."""
    num_clusters = int(cluster_N.max()) + 1
    greatest_K, mean_K = np.zeros(num_clusters), np.full(num_clusters, np.nan)
    for cluster in range(num_clusters):
        members_ND = torch.from_numpy(points_ND[cluster_N == cluster].astype(np.float64)).to(device)
        if len(members_ND) > 1:
            greatest_K[cluster], mean_K[cluster] = _greatest_and_mean(members_ND - members_ND.mean(dim=0))
    return ClusterWidths(greatest_K, mean_K)


def _greatest_and_mean(centred_ND: torch.Tensor) -> tuple[float, float]:
    num_points = len(centred_ND)
    greatest, total = 0.0, 0.0
    for block_BD in centred_ND.split(max(1, _BLOCK_ENTRIES // num_points)):
        distance_BN = torch.cdist(block_BD, centred_ND)
        greatest = max(greatest, float(distance_BN.max()))
        total += float(distance_BN.sum())
    return greatest, total / (num_points * (num_points - 1))
