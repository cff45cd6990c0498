"""All probes of an encoder's layers trained together, against scikit-learn's MLPClassifier one by one.

Seven layers of noise that show ten labels more and more clearly, sixteen pairs of sizes, eight L2 weights:
896 networks, with the same sizes, L2 weight, optimiser, batch, largest number of epochs, patience, size of
the validation part and float32 on both sides. Every --every-th network, spread evenly over the grid, is also
trained by scikit-learn, and its time for all 896 is extrapolated from these. Printed: seconds of both, their
ratio, the mean test accuracy of the sampled networks on both sides, and epochs, since early stopping may end
the two at different times. The ratio per epoch compares the same work.

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

    schedule = Schedule(max_epochs=args.epochs)
    started = time.perf_counter(), time.process_time()
    trained = train_members(
        _examples(layers, labels, args.examples, args.device), members, schedule=schedule, seed=0
    )
    wall, cpu = time.perf_counter() - started[0], time.process_time() - started[1]
    own_scores = (trained.predictions_MN[sampled] == labels[args.examples :]).mean(axis=1)

    started = time.perf_counter(), time.process_time()
    peers = [_peer(layers, labels, args.examples, members[index], schedule) for index in sampled]
    scale = len(members) / len(sampled)
    peer_wall, peer_cpu = (
        scale * (now - then)
        for now, then in zip((time.perf_counter(), time.process_time()), started, strict=True)
    )
    peer_scores, peer_epochs = np.array(peers).T

    print(f"{len(members)} networks on {args.device}, {torch.get_num_threads()} thread(s)")
    print(f"together {wall:.1f} s wall, {cpu:.1f} s CPU, {trained.epochs_M.mean():.1f} epochs a network")
    print(
        f"scikit-learn {peer_wall:.1f} s wall, {peer_cpu:.1f} s CPU, {peer_epochs.mean():.1f} epochs a "
        f"network (from {len(sampled)} of {len(members)})"
    )
    per_epoch = trained.epochs_M.mean() / peer_epochs.mean()
    print(
        f"ratio {peer_wall / wall:.1f} wall, {peer_cpu / cpu:.1f} CPU; "
        f"per epoch {per_epoch * peer_wall / wall:.1f} wall, {per_epoch * peer_cpu / cpu:.1f} CPU"
    )
    error = np.std(own_scores - peer_scores, ddof=1) / np.sqrt(len(sampled))
    print(
        f"mean test accuracy of the sampled networks: together {own_scores.mean():.4f}, "
        f"scikit-learn {peer_scores.mean():.4f} (standard error of the difference {error:.4f})"
    )


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


def _peer(
    layers: list[np.ndarray], labels: np.ndarray, num_train: int, member: Member, schedule: Schedule
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
        early_stopping=True,
        validation_fraction=0.2,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        peer.fit(train.astype(np.float32), labels[:num_train])
    return peer.score(test.astype(np.float32), labels[num_train:]), peer.n_iter_


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=7)
    parser.add_argument("--examples", type=int, default=1000, help="for train, and as many for test")
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--labels", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=200, help="at most")
    parser.add_argument("--every", type=int, default=29, help="scikit-learn trains one network in so many")
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


if __name__ == "__main__":
    main()
