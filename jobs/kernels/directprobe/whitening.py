"""Whitening of points, and the map that does it.

Axes: N points, D coordinates, R whitened coordinates.
"""

from dataclasses import dataclass

import torch

_NO_SPREAD = 1e-13
"""Directions with at most this share of the widest spread are float64 rounding, and are dropped."""

_WELL_CONDITIONED = 1e-5
"""A triangular factor is used if its smallest diagonal entry exceeds this share of the largest."""

_LEAST_SPREAD = 1e-9
"""Directions with a spread below this share of the widest are kept, but not scaled to unit variance."""


@dataclass(frozen=True)
class Whitened:
    """`points_NR` = (points - mean_D) @ map_DR, affinely equivalent to the points."""

    points_NR: torch.Tensor
    map_DR: torch.Tensor
    mean_D: torch.Tensor


def whiten(points_ND: torch.Tensor) -> Whitened:
    """Coordinates whose covariance is the identity, or nearly so.

    They come from a Cholesky factor of the covariance if it is well conditioned, otherwise from the principal
    directions, each scaled to mean square 1 as far as float64 allows. Every direction in which the points
    spread is kept, so two sets are separable afterwards if and only if they were before. Identical points
    give R = 0.
    """
    mean_D = points_ND.mean(dim=0)
    centred_ND = points_ND - mean_D
    map_DD = _triangular_map(centred_ND)
    if map_DD is not None:
        return Whitened(centred_ND @ map_DD, map_DD, mean_D)
    basis_DR = _principal_basis(centred_ND)
    rotated_NR = centred_ND @ basis_DR
    # Measured on the points: an eigenvalue is a squared spread and has only half of the digits.
    spread_R = rotated_NR.square().mean(dim=0).sqrt()
    widest = spread_R.max() if len(spread_R) else spread_R.sum()
    kept_R = spread_R > _NO_SPREAD * widest
    scale_R = spread_R[kept_R].clamp(min=_LEAST_SPREAD * widest)
    return Whitened(rotated_NR[:, kept_R] / scale_R, basis_DR[:, kept_R] / scale_R, mean_D)


def _triangular_map(centred_ND: torch.Tensor) -> torch.Tensor | None:
    num_points, width = centred_ND.shape
    if num_points <= width:
        return None
    factor_DD, failed = torch.linalg.cholesky_ex(centred_ND.mT @ centred_ND / num_points)
    diagonal_D = factor_DD.diagonal()
    if failed or not diagonal_D.min() > _WELL_CONDITIONED * diagonal_D.max():
        return None
    unit_DD = torch.eye(width, dtype=centred_ND.dtype, device=centred_ND.device)
    map_DD: torch.Tensor = torch.linalg.solve_triangular(factor_DD.mT, unit_DD, upper=True)
    return map_DD


def _principal_basis(centred_ND: torch.Tensor) -> torch.Tensor:
    num_points, width = centred_ND.shape
    if num_points >= width:
        basis_DD: torch.Tensor = torch.linalg.eigh(centred_ND.mT @ centred_ND).eigenvectors
        return basis_DD
    span_DN: torch.Tensor = torch.linalg.qr(centred_ND.mT).Q
    return span_DN @ _principal_basis(centred_ND @ span_DN)
