"""All probes of an encoder's layers trained together, against scikit-learn's MLPClassifier one by one.

Seven layers of noise that show ten labels more and more clearly, sixteen pairs of sizes, eight L2 weights:
896 networks, with the same sizes, L2 weight, optimiser and batch on both sides. Ours train in each of
--precisions. Every --every-th network, spread evenly over the grid, is also trained by scikit-learn:

- as the paper ran it: Zhou and Srikumar 2022 had scikit-learn 0.22 with its defaults, but up to 1000
  iterations. All examples are fitted until the training loss falls no longer. Until 0.24 it computed in
  float64 (scikit-learn pull request 17759).
- the same in float32.
- with our early stopping: the same patience, size of the validation part and float32.

Printed are its time for all 896, extrapolated from these, the ratio to ours, epochs, and the mean test
accuracy of the sampled networks. The ratio per epoch compares the same work.

    OMP_NUM_THREADS=1 python benchmarks/probes.py
"""

import argparse
import time
import warnings

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from jobs.numerics.labelled_layers import hold_out, standardised
from jobs.numerics.mlp_probes import DECAYS, SIZES
from jobs.numerics.mlp_training import Examples, Member, Schedule, train_members

PEERS = {
    "as the paper ran it": (np.float64, False),
    "as the paper ran it, in float32": (np.float32, False),
    "with our early stopping": (np.float32, True),
}
"""Type of numbers, and whether a validation part ends the training."""


def main() -> None:
    args = _arguments()
    rng = np.random.default_rng(0)
    labels = rng.integers(args.labels, size=2 * args.examples)
    centres = rng.normal(size=(args.labels, args.width))
    layers = [
        (rng.normal(size=(len(labels), args.width)) + 0.03 * layer * centres[labels]).astype(np.float32)
        for layer in range(1, args.layers + 1)
    ]
    members = [
        Member(layer, sizes, decay) for layer in range(args.layers) for sizes in SIZES for decay in DECAYS
    ]
    # Offset by place in the grid, so that a step of the sample does not meet the same decay every time.
    sampled = [index for index in range(len(members)) if (index + index // len(DECAYS)) % args.every == 0]

    print(f"{len(members)} networks on {args.device}, {torch.get_num_threads()} thread(s), wall / CPU")
    own = {}
    for precision in args.precisions:
        schedule = Schedule(max_epochs=args.epochs, precision=precision)
        examples = _examples(layers, labels, args.examples, args.device)
        trained, wall, cpu = _timed(train_members, examples, members, schedule=schedule, seed=0)
        correct_S = (trained.predictions_MN[sampled] == labels[args.examples :]).mean(axis=1)
        own[precision] = correct_S, trained.epochs_M[sampled].mean(), wall, cpu
        print(
            f"together in {precision}: {wall:.1f} / {cpu:.1f} s, "
            f"{trained.epochs_M.mean():.1f} epochs a network; of the "
            f"{len(sampled)} sampled {own[precision][1]:.1f}, accuracy {correct_S.mean():.4f}",
            flush=True,
        )
    for name, (dtype, early_stopping) in PEERS.items():
        networks = [members[index] for index in sampled]
        fits, wall, cpu = _timed(
            _peers, layers, labels, args.examples, networks, schedule, dtype, early_stopping
        )
        _print_peer(name, fits, wall * len(members) / len(sampled), cpu * len(members) / len(sampled), own)


def _print_peer(name: str, fits: list[tuple[float, int]], wall: float, cpu: float, own: dict) -> None:
    """Seconds are those of all networks."""
    correct_S, epochs_S = np.array(fits).T
    print(
        f"scikit-learn {name}: {wall:.1f} / {cpu:.1f} s, {epochs_S.mean():.1f} epochs, "
        f"accuracy {correct_S.mean():.4f}"
    )
    for precision, (own_correct_S, own_epochs, own_wall, own_cpu) in own.items():
        share = own_epochs / epochs_S.mean()
        error = np.std(own_correct_S - correct_S, ddof=1) / np.sqrt(len(correct_S))
        print(
            f"  to {precision}: ratio {wall / own_wall:.1f} / {cpu / own_cpu:.1f}, per epoch "
            f"{share * wall / own_wall:.1f} / {share * cpu / own_cpu:.1f}; accuracy of ours "
            f"{np.mean(own_correct_S - correct_S):+.4f} (standard error {error:.4f})",
            flush=True,
        )


def _timed(function, *arguments, **options):
    """What the function gives, and its wall and CPU seconds."""
    started = time.perf_counter(), time.process_time()
    result = function(*arguments, **options)
    return result, time.perf_counter() - started[0], time.process_time() - started[1]


def _examples(layers: list[np.ndarray], labels: np.ndarray, num_train: int, device: str) -> Examples:
    held_out = hold_out(labels[:num_train], seed=0)
    parts = zip(
        *(
            standardised(layer[:num_train][~held_out], layer[:num_train][held_out], layer[num_train:])
            for layer in layers
        ),
        strict=True,
    )
    fitted, validation, test = (
        torch.from_numpy(np.stack(part).astype(np.float32)).to(device) for part in parts
    )
    train_labels = torch.from_numpy(labels[:num_train]).to(device)
    held_out = torch.from_numpy(held_out).to(device)
    return Examples(
        fitted, train_labels[~held_out], validation, train_labels[held_out], test, labels.max() + 1
    )


def _peers(
    layers: list[np.ndarray],
    labels: np.ndarray,
    num_train: int,
    members: list[Member],
    schedule: Schedule,
    dtype: type,
    early_stopping: bool,
) -> list[tuple[float, int]]:
    return [_peer(layers, labels, num_train, member, schedule, dtype, early_stopping) for member in members]


def _peer(
    layers: list[np.ndarray],
    labels: np.ndarray,
    num_train: int,
    member: Member,
    schedule: Schedule,
    dtype: type,
    early_stopping: bool,
) -> tuple[float, int]:
    """Test accuracy and number of epochs. Both sides standardise, which takes milliseconds."""
    train, test = standardised(layers[member.layer][:num_train], layers[member.layer][num_train:])
    peer = MLPClassifier(
        member.sizes,
        alpha=member.decay,
        batch_size=schedule.batch_size,
        learning_rate_init=schedule.learning_rate,
        max_iter=schedule.max_epochs,
        n_iter_no_change=schedule.patience,
        early_stopping=early_stopping,
        validation_fraction=0.2,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        peer.fit(train.astype(dtype), labels[:num_train])
    return peer.score(test.astype(dtype), labels[num_train:]), peer.n_iter_


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=7)
    parser.add_argument("--examples", type=int, default=1000, help="for train, and as many for test")
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--labels", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=1000, help="at most")
    parser.add_argument("--every", type=int, default=29, help="scikit-learn trains one network in so many")
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


if __name__ == "__main__":
    main()
