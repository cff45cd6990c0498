"""Many small ReLU networks of two hidden layers trained side by side, each as if it were alone.

Axes: L layers of an encoder, N examples, B examples of a batch, D features, C classes, M networks (members),
H units of a hidden layer, I inputs and O outputs of a matrix.

A member is settled by its own settings: where it starts depends on seed, start and sizes, the order of
the examples on the seed. Members of the same sizes share products as batches of matrices, so nothing is
padded; the first matrices of those that read the same layer are one matrix to it. What a member gets is still
its own. Behind the features examples stand in columns, so that all this is done without a copy.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import torch
from torch.optim.adam import adam

from jobs.numerics.float32_products import fast_float32_products

_LEAST_GAIN = 1e-4
"""What the validation accuracy must gain for an epoch to count as better, scikit-learn's `tol`."""

_BYTES_AT_ONCE = {"cpu": 40 << 20, "cuda": 4 << 30}
"""Most bytes that the members that train at once may take: on a processor they should stay in its cache."""


Features = list[tuple[slice, torch.Tensor]]
"""Members one after the other, and what they all read, (examples, D)."""


@dataclass(frozen=True)
class Member:
    """One network: the layer it reads, its sizes, its L2 weight, and the number of its initialisation."""

    layer: int
    sizes: tuple[int, int]
    decay: float
    start: int = 0


@dataclass(frozen=True)
class Schedule:
    """How all members train; the defaults are scikit-learn's for Adam."""

    batch_size: int = 200
    """Nearly: an epoch is cut into batches of equal size."""
    learning_rate: float = 1e-3
    max_epochs: int = 1000
    patience: int = 10
    """Epochs without a better validation accuracy that are borne; the next one ends the training."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the factors of products and the values of units; weights, moments and losses stay float32."""


@dataclass(frozen=True)
class Examples:
    """Float32 features and int64 labels on one device; labels run from 0 to num_classes - 1."""

    fitted_LND: torch.Tensor
    fitted_labels_N: torch.Tensor
    validation_LND: torch.Tensor
    validation_labels_N: torch.Tensor
    test_LND: torch.Tensor
    num_classes: int


@dataclass(frozen=True)
class TrainedMembers:
    """In the order in which the members were given."""

    accuracy_M: np.ndarray
    """Best validation accuracy, which is that of the weights that are kept."""
    epochs_M: np.ndarray
    """Epochs trained, the last ones in vain where patience ended."""
    predictions_MN: np.ndarray
    """Predicted class of each test example."""


def train_members(
    examples: Examples, members: Sequence[Member], *, schedule: Schedule, seed: int
) -> TrainedMembers:
    """Train all members and have the best weights of each answer the test examples.

    Minimised is the mean cross-entropy of a batch plus decay / (2 B) times the sum of squared weights, biases
    left free: scikit-learn's `alpha` has this meaning. After each epoch the validation accuracy decides
    whether a member goes on; one that ended leaves the batch of matrices.
    """
    accuracy_M, epochs_M = np.zeros(len(members)), np.zeros(len(members), dtype=np.int64)
    predictions_MN = np.zeros((len(members), examples.test_LND.shape[1]), dtype=np.int64)
    for cohort in _cohorts(examples, members, schedule):
        with fast_float32_products():
            trained = _train_cohort(examples, [members[index] for index in cohort], schedule, seed)
        accuracy_M[cohort], epochs_M[cohort], predictions_MN[cohort] = (
            trained.accuracy_M,
            trained.epochs_M,
            trained.predictions_MN,
        )
    return TrainedMembers(accuracy_M, epochs_M, predictions_MN)


def _cohorts(examples: Examples, members: Sequence[Member], schedule: Schedule) -> list[list[int]]:
    """Indices of members of the same sizes, ordered by layer, as many as train at once.

    A member takes weights, best weights, two moments and gradients, and for each example of a batch its
    units, their errors and the signs of these.
    """
    indices_by_sizes: dict[tuple[int, int], list[int]] = {}
    for index in sorted(range(len(members)), key=lambda index: members[index].layer):
        indices_by_sizes.setdefault(members[index].sizes, []).append(index)
    bytes_at_once = _BYTES_AT_ONCE[examples.fitted_LND.device.type]
    cohorts = []
    for sizes, indices in indices_by_sizes.items():
        num_weights = sum(outputs * inputs for outputs, inputs in _shapes(examples, sizes))
        bytes_of_member = 4 * (5 * num_weights + 3 * schedule.batch_size * sum(sizes))
        num_cohorts = min(len(indices), -(-len(indices) * bytes_of_member // bytes_at_once))
        cohorts += [part.tolist() for part in np.array_split(indices, num_cohorts)]
    return cohorts


def _shapes(examples: Examples, sizes: tuple[int, int]) -> list[tuple[int, int]]:
    """(O, I) of each matrix, followed by that of its bias."""
    widths = (examples.fitted_LND.shape[2], *sizes, examples.num_classes)
    pairs = zip(widths[:-1], widths[1:], strict=True)
    return [shape for below, above in pairs for shape in ((above, below), (above, 1))]


@dataclass(frozen=True)
class _Running:
    """The members that still train; of matrices and biases there is one tensor (M, O, I) for all members.

    Weights, moments and gradients are changed in place.
    """

    index_M: torch.Tensor
    layer_M: torch.Tensor
    decay_M11: torch.Tensor
    waited_M: torch.Tensor
    weights: tuple[torch.Tensor, ...]
    means: tuple[torch.Tensor, ...]
    squares: tuple[torch.Tensor, ...]
    gradients: tuple[torch.Tensor, ...]

    def members(self, chosen_M: torch.Tensor) -> "_Running":
        values = (getattr(self, field.name) for field in fields(self))
        return _Running(
            *(
                tuple(part[chosen_M] for part in value) if isinstance(value, tuple) else value[chosen_M]
                for value in values
            )
        )


def _train_cohort(examples: Examples, members: list[Member], schedule: Schedule, seed: int) -> TrainedMembers:
    running = _begin(examples, members, seed)
    dtype = getattr(torch, schedule.precision)
    layer_M, best_weights = running.layer_M, tuple(part.clone() for part in running.weights)
    best_M = torch.full((len(members),), -1.0, device=layer_M.device)
    epochs_M = torch.full((len(members),), schedule.max_epochs, device=layer_M.device)
    steps = [torch.zeros((), device=layer_M.device) for _ in running.weights]
    for epoch in range(1, schedule.max_epochs + 1):
        _train_epoch(examples, running, schedule, steps, _order(examples, seed, epoch))
        accuracy_M = _validation_accuracy(examples, running, dtype)
        better_M = accuracy_M > best_M[running.index_M]
        gained_M = accuracy_M >= best_M[running.index_M] + _LEAST_GAIN
        best_M[running.index_M[better_M]] = accuracy_M[better_M]
        for best, part in zip(best_weights, running.weights, strict=True):
            best[running.index_M[better_M]] = part[better_M]
        running.waited_M.add_(1).masked_fill_(gained_M, 0)
        ended_M = running.waited_M > schedule.patience
        if ended_M.any():
            epochs_M[running.index_M[ended_M]] = epoch
            running = running.members(~ended_M)
            if not len(running.index_M):
                break
    predicted_MN = _predicted(best_weights, examples.test_LND, layer_M, dtype)
    return TrainedMembers(best_M.double().cpu().numpy(), epochs_M.cpu().numpy(), predicted_MN.cpu().numpy())


def _begin(examples: Examples, members: list[Member], seed: int) -> _Running:
    device = examples.fitted_LND.device
    shapes = _shapes(examples, members[0].sizes)
    starts = {start: _initial_weights(shapes, seed, start) for start in {member.start for member in members}}
    weights = tuple(
        torch.stack(parts).to(device)
        for parts in zip(*(starts[member.start] for member in members), strict=True)
    )
    return _Running(
        index_M=torch.arange(len(members), device=device),
        layer_M=torch.tensor([member.layer for member in members], device=device),
        decay_M11=torch.tensor([[[float(member.decay)]] for member in members], device=device),
        waited_M=torch.zeros(len(members), dtype=torch.int64, device=device),
        weights=weights,
        means=tuple(torch.zeros_like(part) for part in weights),
        squares=tuple(torch.zeros_like(part) for part in weights),
        gradients=tuple(torch.zeros_like(part) for part in weights),
    )


def _initial_weights(shapes: list[tuple[int, int]], seed: int, start: int) -> list[torch.Tensor]:
    """Uniform within sqrt(6 / (O + I)) (Glorot and Bengio 2010, equation 16), biases too."""
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
    order_N = np.random.default_rng([seed, epoch]).permutation(examples.fitted_LND.shape[1])
    return torch.from_numpy(order_N).to(examples.fitted_LND.device)


def _train_epoch(
    examples: Examples,
    running: _Running,
    schedule: Schedule,
    steps: list[torch.Tensor],
    order_N: torch.Tensor,
) -> None:
    targets_NC = torch.nn.functional.one_hot(examples.fitted_labels_N, examples.num_classes).float()
    layers_LND, groups = examples.fitted_LND.to(getattr(torch, schedule.precision)), _groups(running.layer_M)
    for batch_B in _batches(order_N, schedule.batch_size):
        features = [(group, layers_LND[layer].index_select(0, batch_B)) for layer, group in groups]
        _write_gradient(
            running.weights, features, targets_NC[batch_B].mT, running.decay_M11, running.gradients
        )
        adam(
            list(running.weights),
            list(running.gradients),
            list(running.means),
            list(running.squares),
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


def _batches(order_N: torch.Tensor, batch_size: int) -> tuple[torch.Tensor, ...]:
    """As many as come closest to the batch size, their sizes at most one apart.

    A remnant of an example or two would have a gradient so large that Adam's second moments, and with them
    all other steps, suffer: of 801 examples, 1 alone in a batch cost 0.1 of accuracy, averaged over a grid.
    """
    return order_N.tensor_split(max(1, round(len(order_N) / batch_size)))


def _groups(layer_M: torch.Tensor) -> list[tuple[int, slice]]:
    """Each layer and which members, one after the other, read it."""
    layers, counts = (part.tolist() for part in layer_M.unique_consecutive(return_counts=True))
    ends = np.cumsum(counts).tolist()
    return [(layer, slice(end - count, end)) for layer, count, end in zip(layers, counts, ends, strict=True)]


def _forward(weights: Sequence[torch.Tensor], features: Features) -> list[torch.Tensor]:
    """Both hidden layers and the logits, (M, O, examples) each; weights and features are of one type."""
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


def _predicted(
    weights: Sequence[torch.Tensor], layers_LND: torch.Tensor, layer_M: torch.Tensor, dtype: torch.dtype
) -> torch.Tensor:
    """The class of each example. Not by `argmax`, which takes 15 times as long on a processor."""
    features = [(group, layers_LND[layer].to(dtype)) for layer, group in _groups(layer_M)]
    return _forward([part.to(dtype) for part in weights], features)[-1].max(dim=1).indices


def _write_gradient(
    weights: Sequence[torch.Tensor],
    features: Features,
    targets_CB: torch.Tensor,
    decay_M11: torch.Tensor,
    gradients: Sequence[torch.Tensor],
) -> None:
    """Backpropagation by hand: autograd would hold copies and pass over the weights more often.

    Products are of the features' type.
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


def _validation_accuracy(examples: Examples, running: _Running, dtype: torch.dtype) -> torch.Tensor:
    predicted_MN = _predicted(running.weights, examples.validation_LND, running.layer_M, dtype)
    return (predicted_MN == examples.validation_labels_N).double().mean(dim=1).float()
