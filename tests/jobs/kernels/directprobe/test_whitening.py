"""Whitened points: unit covariance, and nothing lost that could separate."""

import numpy as np
import pytest
import torch

from layerscope.jobs.kernels.directprobe.whitening import whiten


def cloud(num_points, spread_D, seed=0):
    rng = np.random.default_rng(seed)
    width = len(spread_D)
    turned = np.linalg.qr(rng.normal(size=(width, width)))[0]
    return torch.from_numpy(rng.normal(size=(num_points, width)) * spread_D @ turned + 3)


@pytest.mark.parametrize(
    "num_points, spread_D, rank",
    [
        (200, np.ones(6), 6),
        (200, 10.0 ** -np.arange(6), 6),  # one to a hundred thousand
        (200, np.array([1, 1, 1, 0, 0]), 3),
        (10, np.ones(25), 9),
    ],
)
def test_the_covariance_is_one_and_the_map_leads_there(num_points, spread_D, rank):
    points_ND = cloud(num_points, spread_D)
    whitened = whiten(points_ND)
    covariance = whitened.points_NR.mT @ whitened.points_NR / num_points
    assert covariance.shape == (rank, rank)
    # Eigenvectors of the covariance know directions of the least spread to 1e-16 / 1e-10 of it.
    assert covariance.numpy() == pytest.approx(np.eye(rank), abs=1e-4)
    again = (points_ND - whitened.mean_D) @ whitened.map_DR
    assert again.numpy() == pytest.approx(whitened.points_NR.numpy(), abs=1e-6)


def test_a_direction_of_the_least_spread_is_kept():
    points_ND = cloud(100, np.array([1, 1, 1e-8]))
    assert whiten(points_ND).points_NR.shape[1] == 3


def test_identical_points_have_no_coordinates():
    assert whiten(torch.ones(4, 3, dtype=torch.float64)).points_NR.shape == (4, 0)
