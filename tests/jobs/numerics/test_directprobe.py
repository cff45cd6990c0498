"""DirectProbe: the clusters of the slow obvious version, invariances, and proofs that are checked again."""

import numpy as np
import pytest
from scipy.optimize import linprog

from jobs.numerics.directprobe import direct_probe


def is_separable(left, right):
    """By a linear programme: can all of left be at 1 or above, all of right at -1 or below?"""
    rows = np.block([[-left, -np.ones((len(left), 1))], [right, np.ones((len(right), 1))]])
    found = linprog(np.zeros(rows.shape[1]), A_ub=rows, b_ub=-np.ones(len(rows)), bounds=(None, None))
    return found.status == 0


def naive_clusters(points, labels):
    """Zhou and Srikumar's definition, word by word; a set of rows for each cluster."""
    clusters = [(label, (row,)) for row, label in enumerate(labels)]
    vetoed = set()
    while True:
        pairs = [
            (np.linalg.norm(points[list(a[1])].mean(axis=0) - points[list(b[1])].mean(axis=0)), a, b)
            for index, a in enumerate(clusters)
            for b in clusters[index + 1 :]
            if a[0] == b[0] and (a, b) not in vetoed
        ]
        if not pairs:
            return {frozenset(rows) for _, rows in clusters}
        _, a, b = min(pairs, key=lambda pair: pair[0])
        merged = list(a[1] + b[1])
        others = [list(rows) for label, rows in clusters if label != a[0]]
        # A plane between the candidate and all other points is one between it and each cluster of them.
        if is_separable(points[merged], points[sum(others, [])]) or all(
            is_separable(points[merged], points[other]) for other in others
        ):
            clusters = [cluster for cluster in clusters if cluster not in (a, b)] + [(a[0], tuple(merged))]
        else:
            vetoed.add((a, b))


def as_sets(cluster_N):
    return {frozenset(np.flatnonzero(cluster_N == cluster).tolist()) for cluster in np.unique(cluster_N)}


def cloud(seed, *, num_points, width, num_labels, gap):
    """Points with a power-law spectrum around label means that are `gap` times as widely spread."""
    rng = np.random.default_rng(seed)
    spread = 1 / np.sqrt(1 + np.arange(width))
    labels = np.concatenate([np.arange(num_labels), rng.integers(num_labels, size=num_points - num_labels)])
    means = gap * rng.normal(size=(num_labels, width)) * spread
    return rng.normal(size=(num_points, width)) * spread + means[labels], labels


SIZES = [
    (12, 2, 2), (20, 2, 3), (24, 2, 4), (20, 3, 2), (24, 3, 3), (28, 4, 2), (24, 5, 3), (28, 6, 4),
    (32, 8, 2), (36, 16, 2),
]  # fmt: skip
CLOUDS = [(seed, *size, gap) for gap in (0, 0.6, 2.5) for seed, size in enumerate(SIZES)]
CLOUDS += [(1, 50, 32, 2, 0), (2, 76, 64, 2, 0)]


@pytest.mark.parametrize("seed, num_points, width, num_labels, gap", CLOUDS)
def test_the_clusters_are_those_of_the_naive_version(seed, num_points, width, num_labels, gap):
    points, labels = cloud(seed, num_points=num_points, width=width, num_labels=num_labels, gap=gap)
    probe = direct_probe(points, labels)
    assert as_sets(probe.cluster_N) == naive_clusters(points, labels)
