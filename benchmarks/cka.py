"""Processor seconds of CKA maps beside other ways to the same numbers, on the same activations.

    OMP_NUM_THREADS=1 python benchmarks/cka.py --examples 1000 5000 --widths 384 768

Peers are re-expressed here from their sequence of operations, not imported:

- `three products`: per pair of layers X'Y, X'X and Y'Y, as anatome does, in torch.
- `mini-batch per pair`: per batch and pair, Gram matrices without diagonal and products of them, as torch_cka
  0.21 does; same estimator as `minibatch_cka`.

A peer is timed on `--pairs` pairs of layers and multiplied up to the whole map, since each of its pairs costs
the same; lines say so with (e).
"""

import argparse
import time

import numpy as np
import torch

from layerscope.jobs.kernels.similarity.cka import cka_map
from layerscope.jobs.kernels.similarity.cka_minibatch import minibatch_cka

NUM_LAYERS = 13
BATCH = 256


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    rate = matrix_rate()
    print(f"float32 matrix products: {rate['numpy']:.1f} GF/s in numpy, {rate['torch']:.1f} in torch")
    for num_examples in options.examples:
        for width in options.widths:
            compare(num_examples, width, options, rate=max(rate.values()))


def compare(num_examples: int, width: int, options: argparse.Namespace, *, rate: float) -> None:
    """Print seconds and ratios of one size."""
    a, b = (activations(num_examples, width, seed=seed) for seed in range(2))
    pairs = options.pairs
    subset = [torch.from_numpy(layer) for layer in (a[:1] + b[:pairs])]
    seconds = fastest(
        {
            "two": lambda: cka_map(a, b, debiased=False),
            "one": lambda: cka_map(a, debiased=False),
            "batches": lambda: minibatch_cka(a, b, batch_size=BATCH),
            "three products": lambda: [three_products(subset[0], other) for other in subset[1:]],
            "per pair": lambda: [minibatch_per_pair(subset[0], other) for other in subset[1:]],
        },
        repeats=options.repeats,
    )
    exact = seconds["three products"] / pairs * NUM_LAYERS**2
    batched = seconds["per pair"] / pairs * NUM_LAYERS**2
    features = 2 * num_examples * width**2 * (NUM_LAYERS**2 + NUM_LAYERS) / 1e9
    print(f"n = {num_examples}, d = {width}, {NUM_LAYERS} layers")
    for name, peer in (("two", exact), ("one", exact), ("batches", batched)):
        print(f"  {name:8} {seconds[name]:8.2f} s   peer {peer:8.2f} s (e)   {peer / seconds[name]:5.1f}x")
    print(f"  share of the matrix rate, were the feature side taken: {features / seconds['two'] / rate:.0%}")
    error = abs(three_products(subset[0], subset[1]) - cka_map(a[:1], b[:1], debiased=False)[0, 0])
    print(f"  difference from the peer in the first cell: {error:.1e}", flush=True)


def three_products(x: torch.Tensor, y: torch.Tensor) -> float:
    """Biased linear CKA of one pair."""
    x, y = x - x.mean(dim=0), y - y.mean(dim=0)
    cross, own_x, own_y = (torch.linalg.norm(u.T @ v) for u, v in ((x, y), (x, x), (y, y)))
    return float(cross**2 / (own_x * own_y))


def minibatch_per_pair(x: torch.Tensor, y: torch.Tensor) -> float:
    """Mini-batch CKA of one pair: three HSIC_1 a batch, each with products of whole Gram matrices."""
    total = torch.zeros(3)
    for start in range(0, len(x) - 3, BATCH):
        rows_x, rows_y = x[start : start + BATCH], y[start : start + BATCH]
        gram_x, gram_y = rows_x @ rows_x.T, rows_y @ rows_y.T
        gram_x.fill_diagonal_(0)
        gram_y.fill_diagonal_(0)
        grams = ((gram_x, gram_y), (gram_x, gram_x), (gram_y, gram_y))
        total += torch.stack([_hsic_1(left, right) for left, right in grams])
    return float(total[0] / torch.sqrt(total[1] * total[2]))


def _hsic_1(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    n = len(left)
    ones = torch.ones(n, 1)
    whole = torch.trace(left @ right)
    whole += (ones.T @ left @ ones @ ones.T @ right @ ones).item() / ((n - 1) * (n - 2))
    whole -= 2 / (n - 2) * (ones.T @ (left @ right) @ ones).item()
    return whole / (n * (n - 3))


def activations(num_examples: int, width: int, *, seed: int) -> list[np.ndarray]:
    """Layers that drift from one to the next."""
    rng = np.random.default_rng(seed)
    layer = rng.standard_normal((num_examples, width), dtype=np.float32)
    layers = []
    for _ in range(NUM_LAYERS):
        layer = layer + np.float32(0.3) * rng.standard_normal(layer.shape, dtype=np.float32)
        layers.append(layer)
    return layers


def matrix_rate() -> dict[str, float]:
    """GF/s of (4096, 3072)' (4096, 768) in float32."""
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((4096, width), dtype=np.float32) for width in (3072, 768))
    u, v = torch.from_numpy(x), torch.from_numpy(y)
    seconds = fastest({"numpy": lambda: x.T @ y, "torch": lambda: u.T @ v}, repeats=3)
    return {name: 2 * 4096 * 3072 * 768 / value / 1e9 for name, value in seconds.items()}


def fastest(works: dict, *, repeats: int) -> dict[str, float]:
    """Processor seconds of each, the least of some alternating repeats."""
    seconds = dict.fromkeys(works, float("inf"))
    for _ in range(repeats):
        for name, work in works.items():
            started = time.process_time()
            work()
            seconds[name] = min(seconds[name], time.process_time() - started)
    return seconds


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--examples", type=int, nargs="+", default=[1000, 5000, 20000])
    parser.add_argument("--widths", type=int, nargs="+", default=[384, 768])
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=2, help="pairs on which a peer is timed")
    return parser.parse_args()


if __name__ == "__main__":
    main()
