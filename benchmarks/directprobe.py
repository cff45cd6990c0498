"""What DirectProbe costs over sizes of clouds, from separable to hard, and the naive version beside it.

    OMP_NUM_THREADS=1 python -m benchmarks.directprobe --points 1000 2000 --widths 128 768 --labels 6

Run from the root of the repository. CPU seconds are of one process; peak memory counts the imports.
"""

import argparse
import itertools
import multiprocessing
import resource
import time

import numpy as np
import torch

from layerscope.jobs.kernels.directprobe.directprobe import DirectProbe, direct_probe
from tests.jobs.kernels.directprobe.naive_directprobe import naive_clusters

GAPS = {"separable": 12.0, "medium": 2.5, "narrow": 0.6, "hard": 0.12}
"""The spread of the label means, in spreads of the points around them."""

COLUMNS = (
    "points", "width", "labels", "regime", "clusters", "vetoes", "cluster CPU s", "distance CPU s",
    "open pairs", "peak MiB", "naive CPU s", "ratio",
)  # fmt: skip


def cloud(num_points: int, width: int, num_labels: int, regime: str, *, seed: int):
    """Points whose spectrum falls as a power, in a random orientation, with labels of unequal size."""
    rng = np.random.default_rng(seed)
    spread_D = (1 + np.arange(width)) ** -0.5
    share_C = (1 + np.arange(num_labels)) ** -0.5
    labels_N = rng.choice(num_labels, size=num_points, p=share_C / share_C.sum())
    labels_N[:num_labels] = np.arange(num_labels)
    means_CD = GAPS[regime] * rng.normal(size=(num_labels, width)) * spread_D
    points_ND = rng.normal(size=(num_points, width)) * spread_D + means_CD[labels_N]
    return points_ND @ np.linalg.qr(rng.normal(size=(width, width)))[0], labels_N


def row(
    num_points: int, width: int, num_labels: int, regime: str, *, seed: int, naive_points: int, device: str
) -> tuple:
    points_ND, labels_N = cloud(num_points, width, num_labels, regime, seed=seed)
    _, clustering = timed(direct_probe, points_ND, labels_N, distances="rough", device=device)
    probe, everything = timed(direct_probe, points_ND, labels_N, device=device)
    assert isinstance(probe, DirectProbe)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    naive, ratio = "-", "-"
    if num_points <= naive_points:
        expected, seconds = timed(naive_clusters, points_ND, labels_N.tolist())
        found = {
            frozenset(np.flatnonzero(probe.cluster_N == cluster).tolist())
            for cluster in range(probe.num_clusters)
        }
        if found != expected:
            raise AssertionError("the clusters differ from those of the naive version.")
        naive, ratio = f"{seconds:.2f}", f"{seconds / everything:.0f}"
    return (
        num_points, width, num_labels, regime, probe.num_clusters, len(probe.vetoes), f"{clustering:.2f}",
        f"{max(0.0, everything - clustering):.2f}", num_open(probe), f"{peak:.0f}", naive, ratio,
    )  # fmt: skip


def num_open(probe: DirectProbe) -> int:
    """Pairs of clusters of different labels whose distance is known less closely than to 1e-6 of itself."""
    different_KK = probe.label_of_cluster_K[:, None] < probe.label_of_cluster_K
    width_KK = probe.distance_upper_KK - probe.distance_lower_KK
    return int((different_KK & (width_KK > 1e-6 * probe.distance_upper_KK)).sum())


def timed(function, *arguments, **options):
    start = time.process_time()
    result = function(*arguments, **options)
    return result, time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, nargs="+", default=[1000, 2000, 5000, 10000])
    parser.add_argument("--widths", type=int, nargs="+", default=[128, 384, 768])
    parser.add_argument("--labels", type=int, nargs="+", default=[6, 20, 50])
    parser.add_argument("--regimes", nargs="+", choices=GAPS, default=["separable", "medium", "narrow"])
    parser.add_argument("--naive-points", type=int, default=150, help="most points of a naive run")
    parser.add_argument("--device", default="cpu", help="of the products over all points")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|", flush=True)
    sizes = itertools.product(arguments.points, arguments.widths, arguments.labels, arguments.regimes)
    options = {"seed": arguments.seed, "naive_points": arguments.naive_points, "device": arguments.device}
    for size in sizes:
        # A process for each row, so that its peak of memory is its own.
        with multiprocessing.get_context("fork" if arguments.device == "cpu" else "spawn").Pool(1) as pool:
            print("| " + " | ".join(map(str, pool.apply(row, size, options))) + " |", flush=True)


if __name__ == "__main__":
    main()
