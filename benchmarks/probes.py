"""The best probe of each layer out of a grid of networks, against scikit-learn's MLPClassifier one by one.

Seven layers of noise that show ten labels more and more clearly, sixteen pairs of sizes, eight L2 weights: of
896 networks one a layer is chosen and trained five times. Both sides give the test accuracies of these.

Ours is `mlp_probes`, set against itself with the full grid and in bfloat16 on --seeds drawings of the data.
The peers see the first drawing. They fit each network of the grid to four fifths of train, choose by accuracy
on the rest, and fit what is chosen to all of train:

- as the paper ran it: Zhou and Srikumar 2022 had scikit-learn 0.22 with its defaults, but up to 1000
  iterations. Each network is fitted until the training loss falls no longer, in float64 (until 0.24,
  scikit-learn pull request 17759). How they held examples out is not reported; more folds would take more
  time.
- in float32: the same.
- with early stopping: in float32, and a fifth of what is fitted ends the training.

Where --every is above 1, a peer trains but every so many of the grid, spread evenly, and one in five of the
chosen, which are the grid points that ours chose; its time is extrapolated.

    OMP_NUM_THREADS=1 python benchmarks/probes.py
"""

import argparse
import time
import warnings
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from layerscope.jobs.kernels.probes.labelled_layers import hold_out, standardised
from layerscope.jobs.kernels.probes.mlp_probes import DECAYS, SIZES, mlp_probes
from layerscope.jobs.kernels.probes.mlp_training import Schedule
from layerscope.jobs.kernels.probes.probe_result import ProbeResult

GRID = [(sizes, decay) for sizes in SIZES for decay in DECAYS]
NUM_STARTS = 5
PEERS = {
    "as the paper ran it": (np.float64, False),
    "in float32": (np.float32, False),
    "with early stopping": (np.float32, True),
}
"""Type of numbers, and whether a validation part ends the training."""


def main() -> None:
    args = _arguments()
    print(
        f"{args.layers * len(GRID)} networks on {args.device}, {torch.get_num_threads()} thread(s); "
        "wall / CPU"
    )
    drawings = [_drawing(args, seed) for seed in range(args.seeds)]
    halving = Schedule(max_epochs=args.epochs)
    schedules = {
        "ours": halving,
        "ours with the full grid": replace(halving, rungs=()),
        "ours in bfloat16": replace(halving, precision="bfloat16"),
    }
    own = {name: _own(name, drawings, schedule, args) for name, schedule in schedules.items()}
    results, seconds = own.pop("ours")
    for name, (others, other_seconds) in own.items():
        differences = [one.accuracy_L - other.accuracy_L for one, other in zip(results, others, strict=True)]
        _print_comparison(name, other_seconds / seconds, np.concatenate(differences))
    for name in args.peers:
        dtype, early_stopping = PEERS[name]
        train = partial(_trained, dtype=dtype, early_stopping=early_stopping, max_epochs=args.epochs)
        accuracy_L, peer_seconds = _peer(train, drawings[0], results[0], args.every)
        print(f"scikit-learn {name}: {_pair(peer_seconds)} s, accuracy {accuracy_L.mean():.4f}")
        _print_comparison(f"scikit-learn {name}", peer_seconds / seconds, results[0].accuracy_L - accuracy_L)


def _print_comparison(name: str, ratio: np.ndarray, difference: np.ndarray) -> None:
    error = np.std(difference, ddof=1) / np.sqrt(len(difference))
    print(
        f"  ours is {_pair(ratio)} times as fast as {name}, its accuracy {difference.mean():+.4f} "
        f"(standard error {error:.4f})",
        flush=True,
    )


def _pair(wall_and_cpu: np.ndarray) -> str:
    return " / ".join(f"{value:.1f}" for value in wall_and_cpu)


def _drawing(args: argparse.Namespace, seed: int) -> tuple:
    """Train layers and labels, test layers and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(args.labels, size=2 * args.examples)
    centres = rng.normal(size=(args.labels, args.width))
    layers = [
        (rng.normal(size=(len(labels), args.width)) + 0.03 * layer * centres[labels]).astype(np.float32)
        for layer in range(1, args.layers + 1)
    ]
    train, test = slice(args.examples), slice(args.examples, None)
    return [layer[train] for layer in layers], labels[train], [layer[test] for layer in layers], labels[test]


def _own(
    name: str, drawings: list[tuple], schedule: Schedule, args: argparse.Namespace
) -> tuple[list[ProbeResult], np.ndarray]:
    """The result of each drawing, and the mean seconds of one."""
    options = {"schedule": schedule, "num_classes": args.labels, "seed": 0, "device": args.device}
    started = _now()
    results = [mlp_probes(*drawing, num_starts=NUM_STARTS, **options) for drawing in drawings]
    seconds = (_now() - started) / len(drawings)
    accuracy = np.mean([result.accuracy_L for result in results])
    print(f"{name}: {_pair(seconds)} s, accuracy {accuracy:.4f}", flush=True)
    return results, seconds


def _now() -> np.ndarray:
    return np.array([time.perf_counter(), time.process_time()])


def _peer(train, drawing: tuple, own: ProbeResult, every: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean accuracy of the chosen network of each layer, and the seconds of all."""
    train_layers, labels, test_layers, test_labels = drawing
    held_out = hold_out(labels, seed=0)
    num_starts = NUM_STARTS if every == 1 else 1
    accuracy_L, grid_seconds, chosen_seconds = [], 0, 0
    for layer, (train_ND, test_ND) in enumerate(zip(train_layers, test_layers, strict=True)):
        fitted_ND, held_out_ND = standardised(train_ND[~held_out], train_ND[held_out])
        # Offset by place in the grid, so that a step of the sample does not meet the same decay every time.
        places = range(layer * len(GRID), (layer + 1) * len(GRID))
        sampled = [
            point
            for place, point in zip(places, GRID, strict=True)
            if (place + place // len(DECAYS)) % every == 0
        ]
        started = _now()
        scores = [
            train(fitted_ND, labels[~held_out], held_out_ND, labels[held_out], point, 0) for point in sampled
        ]
        grid_seconds += _now() - started
        chosen = sampled[np.argmax(scores)] if every == 1 else (own.sizes_L[layer], own.penalty_L[layer])
        started = _now()
        fitted_ND, asked_ND = standardised(train_ND, test_ND)
        starts = range(1, num_starts + 1)
        scores = [train(fitted_ND, labels, asked_ND, test_labels, chosen, start) for start in starts]
        accuracy_L.append(np.mean(scores))
        chosen_seconds += _now() - started
    return np.array(accuracy_L), grid_seconds * every + chosen_seconds * NUM_STARTS / num_starts


def _trained(
    fitted_ND: np.ndarray,
    labels: np.ndarray,
    asked_ND: np.ndarray,
    asked_labels: np.ndarray,
    point: tuple,
    start: int,
    *,
    dtype: type,
    early_stopping: bool,
    max_epochs: int,
) -> float:
    """Accuracy of one network of scikit-learn on the given examples."""
    network = MLPClassifier(
        point[0],
        alpha=point[1],
        max_iter=max_epochs,
        early_stopping=early_stopping,
        validation_fraction=0.2,
        random_state=start,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(fitted_ND.astype(dtype), labels)
    return network.score(asked_ND.astype(dtype), asked_labels)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=7)
    parser.add_argument("--examples", type=int, default=1000, help="for train, and as many for test")
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--labels", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=1000, help="at most")
    parser.add_argument("--seeds", type=int, default=1, help="drawings of the data; peers see the first")
    parser.add_argument("--every", type=int, default=29, help="scikit-learn trains one network in so many")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


if __name__ == "__main__":
    main()
