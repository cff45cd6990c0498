"""DirectProbe's clusters, slow and obvious: all distances at each merge, a linear programme for each test."""

import numpy as np
from scipy.optimize import linprog


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
