"""Batched training of many small ReLU networks with two hidden layers, each as if it were alone.

Axes: L layers of an encoder, N examples, B examples of a batch, D features, C classes, M networks (members),
H units of a hidden layer, I inputs and O outputs of a matrix.

A member's training depends only on its own settings: the initialisation on seed, start and sizes, the order
of examples on the seed. Members of the same sizes share batched matrix products, so nothing is padded; the
first matrices of members that read the same layer are concatenated to one matrix. Activations have examples
in columns, so that this needs no copy.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch.optim.adam import adam

from layerscope.jobs.kernels.float32_products import fast_float32_products

BYTES_AT_ONCE = {"cpu": 40 << 20, "cuda": 4 << 30}
"""Maximum bytes of the members that train at once: on a CPU they should fit into its cache."""

Features = list[tuple[slice, torch.Tensor]]
"""Slices of consecutive members, and the features (examples, D) that they read."""


@dataclass(frozen=True)
class Member:
    """One network: the layer it reads, its sizes, its L2 weight, and the number of its initialisation."""

    layer: int
    sizes: tuple[int, int]
    decay: float
    start: int = 0


@dataclass(frozen=True)
class Schedule:
    """Training settings of all members; batch size and learning rate are scikit-learn's for Adam."""

    batch_size: int = 200
    """Approximate: an epoch is split into batches of equal size."""
    learning_rate: float = 1e-3
    max_epochs: int = 1000
    patience: int = 30
    """Epochs without a better validation accuracy that are allowed; the next one ends the training.

    scikit-learn allows 10. But long trainings still learn much while the accuracy on some 200 validation
    examples rarely increases, and few networks train so long.
    """
    rungs: tuple[int, ...] = (3, 8, 20)
    """Epochs after which only the best quarter of the remaining members continues. Without rungs all members
    train to the end.

    Of 128 networks 2 train beyond 20 epochs. In `benchmarks/probes.py` the result was as accurate as that of
    the full grid.
    """
    precision: Literal["float32", "bfloat16"] = "float32"
    """Precision of matrix products and activations; weights, moments and losses stay float32."""


@dataclass(frozen=True)
class Examples:
    """Training examples: float32 features and int64 labels from 0 to num_classes - 1, on one device."""

    layers_LND: torch.Tensor
    labels_N: torch.Tensor
    num_classes: int


@dataclass(frozen=True)
class Cohort:
    """The training state of members of the same sizes that train at once.

    Each matrix and each bias is one tensor (M, O, I) for all members; weights and moments are changed in
    place.
    """

    index_M: torch.Tensor
    """Index of each member among those that the cohorts were built from."""
    layer_M: torch.Tensor
    decay_M11: torch.Tensor
    weights: tuple[torch.Tensor, ...]
    means: tuple[torch.Tensor, ...]
    squares: tuple[torch.Tensor, ...]

    def __len__(self) -> int:
        return len(self.index_M)

    def only(self, chosen_M: torch.Tensor) -> "Cohort":
        """The chosen members; returns itself if all are chosen."""
        if chosen_M.all():
            return self
        weights, means, squares = (
            tuple(part[chosen_M] for part in parts) for parts in (self.weights, self.means, self.squares)
        )
        index_M, layer_M, decay_M11 = (
            part[chosen_M] for part in (self.index_M, self.layer_M, self.decay_M11)
        )
        return Cohort(index_M, layer_M, decay_M11, weights, means, squares)


def train_members(
    examples: Examples,
    members: Sequence[Member],
    epochs: ArrayLike,
    asked_LND: torch.Tensor,
    *,
    schedule: Schedule,
    seed: int,
) -> np.ndarray:
    """Train each member for its number of epochs, 1 or more, and predict the test examples.

    Returns classes, (M, N) int64, in the order of `members`.

    The objective is the mean cross-entropy of a batch plus decay / (2 B) times the sum of squared weights,
    without biases: scikit-learn's `alpha` has this meaning.
    """
    predictions_MN = np.zeros((len(members), asked_LND.shape[1]), dtype=np.int64)
    epochs_M = torch.as_tensor(epochs, device=asked_LND.device)
    assert (epochs_M >= 1).all()
    for cohort in begin_cohorts(examples, members, schedule=schedule, seed=seed):
        epoch = 0
        while len(cohort):
            epoch += 1
            train_epoch(examples, cohort, epoch, schedule=schedule, seed=seed)
            ended_M = epochs_M[cohort.index_M] == epoch
            if ended_M.any():
                ended = cohort.only(ended_M)
                predictions_MN[ended.index_M.cpu()] = predicted(logits(ended, asked_LND, schedule)).cpu()
                cohort = cohort.only(~ended_M)
    return predictions_MN


def begin_cohorts(
    examples: Examples, members: Sequence[Member], *, schedule: Schedule, seed: int
) -> Iterator[Cohort]:
    """Cohorts of all members before their first epoch, each as large as memory allows."""
    for indices in _indices_of_cohorts(examples, members, schedule):
        yield _begin(examples, indices, [members[index] for index in indices], seed)


def train_epoch(examples: Examples, cohort: Cohort, epoch: int, *, schedule: Schedule, seed: int) -> None:
    """Train epoch number `epoch`, from 1, whose order of examples is the same for all members of a seed."""
    batches = equal_batches(_order(examples, seed, epoch), schedule.batch_size)
    steps = [torch.full((), float((epoch - 1) * len(batches)), device=part.device) for part in cohort.weights]
    gradients = [torch.empty_like(part) for part in cohort.weights]
    targets_NC = torch.nn.functional.one_hot(examples.labels_N, examples.num_classes).float()
    layers_LND, groups = examples.layers_LND.to(getattr(torch, schedule.precision)), _groups(cohort.layer_M)
    with fast_float32_products():
        for batch_B in batches:
            features = [(group, layers_LND[layer].index_select(0, batch_B)) for layer, group in groups]
            _write_gradient(cohort.weights, features, targets_NC[batch_B].mT, cohort.decay_M11, gradients)
            adam(
                list(cohort.weights),
                gradients,
                list(cohort.means),
                list(cohort.squares),
                [],
                steps,
                fused=True,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=schedule.learning_rate,
                weight_decay=0,
                eps=1e-8,
                maximize=False,
            )


def num_batches(num_examples: int, batch_size: int) -> int:
    """Number of batches of an epoch whose size is closest to the batch size."""
    return max(1, round(num_examples / batch_size))


def equal_batches(order_N: torch.Tensor, batch_size: int) -> tuple[torch.Tensor, ...]:
    """Batches whose sizes differ by at most one.

    A last batch of one or two examples has so large a gradient that it distorts Adam's second moments and all
    other steps: with 801 examples, a batch of 1 cost 0.1 of accuracy, averaged over a grid.
    """
    return order_N.tensor_split(num_batches(len(order_N), batch_size))


def logits(cohort: Cohort, asked_LND: torch.Tensor, schedule: Schedule) -> torch.Tensor:
    """Logits of the members for the test examples, (M, C, N), in the schedule's precision."""
    dtype = getattr(torch, schedule.precision)
    features = [(group, asked_LND[layer].to(dtype)) for layer, group in _groups(cohort.layer_M)]
    with fast_float32_products():
        return _forward([part.to(dtype) for part in cohort.weights], features)[-1]


def predicted(logits_MCN: torch.Tensor) -> torch.Tensor:
    """The class of each example. Not by `argmax`, which takes 15 times as long on a CPU."""
    return logits_MCN.max(dim=1).indices


def _indices_of_cohorts(examples: Examples, members: Sequence[Member], schedule: Schedule) -> list[list[int]]:
    """Indices of the members of each cohort: members of the same sizes, ordered by layer.

    A member needs memory for weights, two moments and gradients, and for each example of a batch its
    activations, their errors and the signs of the activations.
    """
    indices_by_sizes: dict[tuple[int, int], list[int]] = {}
    for index in sorted(range(len(members)), key=lambda index: members[index].layer):
        indices_by_sizes.setdefault(members[index].sizes, []).append(index)
    bytes_at_once = BYTES_AT_ONCE[examples.layers_LND.device.type]
    cohorts = []
    for sizes, indices in indices_by_sizes.items():
        num_weights = sum(outputs * inputs for outputs, inputs in _shapes(examples, sizes))
        bytes_of_member = 4 * (4 * num_weights + 3 * schedule.batch_size * sum(sizes))
        num_cohorts = min(len(indices), -(-len(indices) * bytes_of_member // bytes_at_once))
        cohorts += [part.tolist() for part in np.array_split(indices, num_cohorts)]
    return cohorts


def _shapes(examples: Examples, sizes: tuple[int, int]) -> list[tuple[int, int]]:
    """(O, I) of each matrix, each followed by (O, 1) of its bias."""
    widths = (examples.layers_LND.shape[2], *sizes, examples.num_classes)
    pairs = zip(widths[:-1], widths[1:], strict=True)
    return [shape for below, above in pairs for shape in ((above, below), (above, 1))]


def _begin(examples: Examples, indices: list[int], members: list[Member], seed: int) -> Cohort:
    device = examples.layers_LND.device
    shapes = _shapes(examples, members[0].sizes)
    starts = {start: _initial_weights(shapes, seed, start) for start in {member.start for member in members}}
    weights = tuple(
        torch.stack(parts).to(device)
        for parts in zip(*(starts[member.start] for member in members), strict=True)
    )
    return Cohort(
        index_M=torch.tensor(indices, device=device),
        layer_M=torch.tensor([member.layer for member in members], device=device),
        decay_M11=torch.tensor([[[float(member.decay)]] for member in members], device=device),
        weights=weights,
        means=tuple(torch.zeros_like(part) for part in weights),
        squares=tuple(torch.zeros_like(part) for part in weights),
    )


def _initial_weights(shapes: list[tuple[int, int]], seed: int, start: int) -> list[torch.Tensor]:
    """Uniform within +-sqrt(6 / (O + I)) (Glorot and Bengio 2010, equation 16), biases too."""
    rng = np.random.default_rng([seed, start, *(outputs for outputs, _ in shapes[::2])])
    inputs_of_matrix = [inputs for _, inputs in shapes[::2] for _ in range(2)]
    return [
        torch.from_numpy(
            (rng.uniform(-1, 1, size=(inputs, outputs)) * np.sqrt(6 / (fan_in + outputs)))
            .astype(np.float32)
            .T.copy()
        )
        for (outputs, inputs), fan_in in zip(shapes, inputs_of_matrix, strict=True)
    ]


def _order(examples: Examples, seed: int, epoch: int) -> torch.Tensor:
    order_N = np.random.default_rng([seed, epoch]).permutation(examples.layers_LND.shape[1])
    return torch.from_numpy(order_N).to(examples.layers_LND.device)


def _groups(layer_M: torch.Tensor) -> list[tuple[int, slice]]:
    """Each layer and the slice of consecutive members that read it."""
    layers, counts = (part.tolist() for part in layer_M.unique_consecutive(return_counts=True))
    ends = np.cumsum(counts).tolist()
    return [(layer, slice(end - count, end)) for layer, count, end in zip(layers, counts, ends, strict=True)]


def _forward(weights: Sequence[torch.Tensor], features: Features) -> list[torch.Tensor]:
    """Both hidden layers and the logits, (M, O, examples) each; weights and features have the same dtype."""
    first, first_bias, second, second_bias, last, last_bias = weights
    first_MHN = first.new_empty(*first.shape[:2], len(features[0][1]))
    for group, features_ND in features:
        torch.addmm(
            first_bias[group].flatten(0, 1),
            first[group].flatten(0, 1),
            features_ND.mT,
            out=first_MHN[group].flatten(0, 1),
        )
    second_MHN = torch.baddbmm(second_bias, second, first_MHN.relu_()).relu_()
    return [first_MHN, second_MHN, torch.baddbmm(last_bias, last, second_MHN)]


def _write_gradient(
    weights: Sequence[torch.Tensor],
    features: Features,
    targets_CB: torch.Tensor,
    decay_M11: torch.Tensor,
    gradients: Sequence[torch.Tensor],
) -> None:
    """Manual backpropagation: autograd would keep copies and read the weights more often.

    Products have the dtype of the features.
    """
    dtype = features[0][1].dtype
    factors = [part.to(dtype) for part in weights]
    first_MHB, second_MHB, logits_MCB = _forward(factors, features)
    num_examples = targets_CB.shape[1]
    error_MCB = (
        logits_MCB.softmax(dim=1, dtype=weights[0].dtype).sub_(targets_CB).div_(num_examples).to(dtype)
    )
    second_error_MHB = torch.bmm(factors[4].mT, error_MCB).mul_(second_MHB.sign())
    first_error_MHB = torch.bmm(factors[2].mT, second_error_MHB).mul_(first_MHB.sign())
    first_MHD = torch.empty_like(factors[0])
    for group, features_BD in features:
        torch.mm(first_error_MHB[group].flatten(0, 1), features_BD, out=first_MHD[group].flatten(0, 1))
    products = (
        first_MHD,
        torch.bmm(second_error_MHB, first_MHB.mT),
        torch.bmm(error_MCB, second_MHB.mT),
    )
    for index, product_MOI in enumerate(products):
        torch.addcmul(product_MOI, weights[2 * index], decay_M11 / num_examples, out=gradients[2 * index])
    for index, error_MOB in enumerate((first_error_MHB, second_error_MHB, error_MCB)):
        bias_gradient = gradients[2 * index + 1]
        torch.sum(error_MOB, dim=2, keepdim=True, dtype=bias_gradient.dtype, out=bias_gradient)
