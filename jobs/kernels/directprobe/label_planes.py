"""Pairs of labels that a hyperplane separates; only the others need clustering.

Axes: N points, R whitened coordinates, C labels.
"""

from dataclasses import dataclass

import numpy as np
import torch

from layerscope.jobs.kernels.directprobe.separability import RESOLUTION, Separation, separate
from layerscope.jobs.kernels.directprobe.whitening import Whitened

_SHRINKAGE = 1e-2
"""Share of the total covariance that is added to the within-label covariance, which is singular if the points
are few."""


@dataclass(frozen=True)
class LabelPlanes:
    conflicts_CC: np.ndarray
    """Pairs of labels whose hulls intersect."""

    normal_by_pair: dict[tuple[int, int], np.ndarray]
    """For all other pairs, a direction (R) along which the lower label is entirely above the higher one."""


def label_planes(whitened: Whitened, class_N: np.ndarray) -> LabelPlanes:
    """Try Fisher's discriminants of all pairs in one product, then solve the remaining pairs one by one."""
    points_NR = whitened.points_NR
    num_classes = int(class_N.max()) + 1
    gap_CC, discriminant_CR = _discriminant_gaps(points_NR, class_N, num_classes)
    radius = float(points_NR.square().sum(dim=1).max().sqrt()) if points_NR.shape[1] else 0.0
    local_NR = points_NR.cpu().numpy()
    conflicts_CC = np.zeros((num_classes, num_classes), dtype=bool)
    normal_by_pair = {}
    for low in range(num_classes):
        for high in range(low + 1, num_classes):
            normal_R = discriminant_CR[low] - discriminant_CR[high]
            if gap_CC[low, high] <= RESOLUTION * radius * np.linalg.norm(normal_R):
                outcome = separate(
                    local_NR[class_N == low], local_NR[class_N == high], resolution=RESOLUTION * radius
                )
                conflicts_CC[low, high] = conflicts_CC[high, low] = not isinstance(outcome, Separation)
                normal_R = outcome.normal_R
            if not conflicts_CC[low, high]:
                normal_by_pair[low, high] = normal_R
    return LabelPlanes(conflicts_CC, normal_by_pair)


def _discriminant_gaps(
    points_NR: torch.Tensor, class_N: np.ndarray, num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """The gap (C, C) between two labels along the difference of their discriminants, and the discriminants
    (C, R). A gap is not divided by the length of that difference."""
    class_index_N = torch.from_numpy(class_N).to(points_NR.device)
    means_CR = points_NR.new_zeros(num_classes, points_NR.shape[1]).index_add_(0, class_index_N, points_NR)
    counts_C = class_index_N.bincount(minlength=num_classes)
    means_CR /= counts_C[:, None]
    share_C = counts_C / len(points_NR)
    # Whitened points have covariance I, so the within-label covariance is I minus that of the means.
    within_RR = torch.eye(points_NR.shape[1], dtype=points_NR.dtype, device=points_NR.device) * (
        1 + _SHRINKAGE
    )
    within_RR -= (means_CR * share_C[:, None]).mT @ means_CR
    discriminant_CR = torch.linalg.solve(within_RR, means_CR.mT).mT
    score_NC = points_NR @ discriminant_CR.mT
    lead_CC = torch.stack(
        [
            (score_NC[class_index_N == label, label, None] - score_NC[class_index_N == label]).amin(dim=0)
            for label in range(num_classes)
        ]
    )
    return (lead_CC + lead_CC.mT).cpu().numpy(), discriminant_CR.cpu().numpy()
