"""Many small ReLU networks of two hidden layers trained side by side, each as if it were alone.

Axes: L layers of an encoder, N examples, B examples of a batch, D features, C classes, M networks (members),
P weights of one network, all in one row: two matrices and their biases, and those of the logits.

A member is settled by its own settings: where it starts depends on seed, start and sizes, the order of
the examples on the seed. Members of the same sizes share products as batches of matrices, so nothing is
padded; each product is still one member's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch.optim.adam import adam

_LEAST_GAIN = 1e-4
"""What the validation accuracy must gain for an epoch to count as better, scikit-learn's `tol`."""

_BYTES_AT_ONCE = 4 << 30
"""Most bytes that weights, best weights, moments and gradients of the members that train at once may take."""


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
    for cohort in _cohorts(examples, members):
        trained = _train_cohort(examples, [members[index] for index in cohort], schedule, seed)
        accuracy_M[cohort], epochs_M[cohort], predictions_MN[cohort] = (
            trained.accuracy_M,
            trained.epochs_M,
            trained.predictions_MN,
        )
    return TrainedMembers(accuracy_M, epochs_M, predictions_MN)


def _cohorts(examples: Examples, members: Sequence[Member]) -> list[list[int]]:
    """Indices of members of the same sizes, as many as train at once.

    On a processor those of one layer at a time: they share its features without a copy, products of matrices
    gain nothing from more of them, and the weights stay near.
    """
    on_processor = examples.fitted_LND.device.type == "cpu"
    indices_by_kind: dict[tuple, list[int]] = {}
    for index, member in enumerate(members):
        kind = (member.sizes, member.layer if on_processor else None)
        indices_by_kind.setdefault(kind, []).append(index)
    cohorts = []
    for (sizes, _), indices in indices_by_kind.items():
        bytes_of_member = 5 * 4 * sum(rows * columns for rows, columns in _shapes(examples, sizes))
        most = max(1, _BYTES_AT_ONCE // bytes_of_member)
        cohorts += [indices[start : start + most] for start in range(0, len(indices), most)]
    return cohorts


def _shapes(examples: Examples, sizes: tuple[int, int]) -> list[tuple[int, int]]:
    """Each matrix is followed by its bias."""
    widths = (examples.fitted_LND.shape[2], *sizes, examples.num_classes)
    pairs = zip(widths[:-1], widths[1:], strict=True)
    return [shape for below, above in pairs for shape in ((below, above), (1, above))]


@dataclass(frozen=True)
class _Running:
    """The members that still train, row by row; their weights and moments are changed in place."""

    index_M: torch.Tensor
    layer_M: torch.Tensor
    decay_M11: torch.Tensor
    weights_MP: torch.Tensor
    means_MP: torch.Tensor
    squares_MP: torch.Tensor
    waited_M: torch.Tensor

    def rows(self, chosen_M: torch.Tensor) -> "_Running":
        return _Running(*(getattr(self, field.name)[chosen_M] for field in fields(self)))


def _train_cohort(examples: Examples, members: list[Member], schedule: Schedule, seed: int) -> TrainedMembers:
    shapes = _shapes(examples, members[0].sizes)
    running = _begin(examples, members, shapes, seed)
    layer_M, best_MP = running.layer_M, running.weights_MP.clone()
    best_M = torch.full((len(members),), -1.0, device=best_MP.device)
    epochs_M = torch.full((len(members),), schedule.max_epochs, device=best_MP.device)
    step = torch.zeros((), device=best_MP.device)
    for epoch in range(1, schedule.max_epochs + 1):
        _train_epoch(examples, running, shapes, schedule, step, _order(examples, seed, epoch))
        accuracy_M = _validation_accuracy(examples, running, shapes)
        better_M = accuracy_M > best_M[running.index_M]
        gained_M = accuracy_M >= best_M[running.index_M] + _LEAST_GAIN
        best_M[running.index_M[better_M]] = accuracy_M[better_M]
        best_MP[running.index_M[better_M]] = running.weights_MP[better_M]
        running.waited_M.add_(1).masked_fill_(gained_M, 0)
        ended_M = running.waited_M > schedule.patience
        if ended_M.any():
            epochs_M[running.index_M[ended_M]] = epoch
            running = running.rows(~ended_M)
            if not len(running.index_M):
                break
    logits_MNC = _forward(_parts(best_MP, shapes), _features(examples.test_LND, layer_M))[-1]
    return TrainedMembers(
        best_M.double().cpu().numpy(), epochs_M.cpu().numpy(), logits_MNC.argmax(dim=2).cpu().numpy()
    )


def _begin(examples: Examples, members: list[Member], shapes: list[tuple[int, int]], seed: int) -> _Running:
    device = examples.fitted_LND.device
    starts = {start: _initial_weights(shapes, seed, start) for start in {member.start for member in members}}
    weights_MP = torch.stack([starts[member.start] for member in members]).to(device)
    return _Running(
        index_M=torch.arange(len(members), device=device),
        layer_M=torch.tensor([member.layer for member in members], device=device),
        decay_M11=torch.tensor([[[float(member.decay)]] for member in members], device=device),
        weights_MP=weights_MP,
        means_MP=torch.zeros_like(weights_MP),
        squares_MP=torch.zeros_like(weights_MP),
        waited_M=torch.zeros(len(members), dtype=torch.int64, device=device),
    )


def _initial_weights(shapes: list[tuple[int, int]], seed: int, start: int) -> torch.Tensor:
    """Uniform within sqrt(6 / (rows + columns)) (Glorot and Bengio 2010, equation 16), biases too."""
    widths = [columns for _, columns in shapes[::2]]
    rng = np.random.default_rng([seed, start, *widths])
    rows_of_matrix = [rows for rows, _ in shapes[::2] for _ in range(2)]
    parts = [
        rng.uniform(-1, 1, size=rows * columns) * np.sqrt(6 / (fan_in + columns))
        for (rows, columns), fan_in in zip(shapes, rows_of_matrix, strict=True)
    ]
    return torch.from_numpy(np.concatenate(parts).astype(np.float32))


def _order(examples: Examples, seed: int, epoch: int) -> torch.Tensor:
    order_N = np.random.default_rng([seed, epoch]).permutation(examples.fitted_LND.shape[1])
    return torch.from_numpy(order_N).to(examples.fitted_LND.device)


def _train_epoch(
    examples: Examples,
    running: _Running,
    shapes: list[tuple[int, int]],
    schedule: Schedule,
    step: torch.Tensor,
    order_N: torch.Tensor,
) -> None:
    targets_NC = torch.nn.functional.one_hot(examples.fitted_labels_N, examples.num_classes).float()
    gradient_MP = torch.empty_like(running.weights_MP)
    weights, gradients = _parts(running.weights_MP, shapes), _parts(gradient_MP, shapes)
    layers_LND, layer_M = examples.fitted_LND, running.layer_M
    of_one_layer = _of_one_layer(layer_M)
    for batch_B in _batches(order_N, schedule.batch_size):
        if of_one_layer:
            features_MBD = layers_LND[layer_M[0], batch_B].expand(len(layer_M), -1, -1)
        else:
            features_MBD = layers_LND[layer_M[:, None], batch_B]
        _write_gradient(weights, features_MBD, targets_NC[batch_B], running.decay_M11, gradients)
        adam(
            [running.weights_MP],
            [gradient_MP],
            [running.means_MP],
            [running.squares_MP],
            [],
            [step],
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


def _parts(values_MP: torch.Tensor, shapes: list[tuple[int, int]]) -> list[torch.Tensor]:
    """Views of the matrices and biases: (M, rows, columns) each."""
    columns = [rows * columns for rows, columns in shapes]
    return [
        part.unflatten(1, shape) for part, shape in zip(values_MP.split(columns, dim=1), shapes, strict=True)
    ]


def _features(layers_LND: torch.Tensor, layer_M: torch.Tensor) -> torch.Tensor:
    """The layer of each member; not copied where all read the same."""
    if _of_one_layer(layer_M):
        return layers_LND[layer_M[0]].expand(len(layer_M), -1, -1)
    return layers_LND[layer_M]


def _of_one_layer(layer_M: torch.Tensor) -> bool:
    return bool((layer_M == layer_M[0]).all())


def _forward(parts: list[torch.Tensor], features_MBD: torch.Tensor) -> list[torch.Tensor]:
    """Both hidden layers and the logits."""
    first, first_bias, second, second_bias, last, last_bias = parts
    first_MBH = torch.baddbmm(first_bias, features_MBD, first).relu_()
    second_MBH = torch.baddbmm(second_bias, first_MBH, second).relu_()
    return [first_MBH, second_MBH, torch.baddbmm(last_bias, second_MBH, last)]


def _write_gradient(
    parts: list[torch.Tensor],
    features_MBD: torch.Tensor,
    targets_BC: torch.Tensor,
    decay_M11: torch.Tensor,
    gradients: list[torch.Tensor],
) -> None:
    """Backpropagation by hand: autograd would hold copies and pass over the weights more often."""
    first_MBH, second_MBH, logits_MBC = _forward(parts, features_MBD)
    num_examples = len(targets_BC)
    error_MBC = logits_MBC.softmax(dim=2).sub_(targets_BC).div_(num_examples)
    second_error_MBH = torch.bmm(error_MBC, parts[4].mT).mul_(second_MBH.sign())
    first_error_MBH = torch.bmm(second_error_MBH, parts[2].mT).mul_(first_MBH.sign())
    inputs = (features_MBD, first_MBH, second_MBH)
    errors = (first_error_MBH, second_error_MBH, error_MBC)
    for index, (input_MBI, error_MBO) in enumerate(zip(inputs, errors, strict=True)):
        matrix, bias = gradients[2 * index], gradients[2 * index + 1]
        torch.addcmul(
            torch.bmm(input_MBI.mT, error_MBO), parts[2 * index], decay_M11 / num_examples, out=matrix
        )
        torch.sum(error_MBO, dim=1, keepdim=True, out=bias)


def _validation_accuracy(
    examples: Examples, running: _Running, shapes: list[tuple[int, int]]
) -> torch.Tensor:
    features_MND = _features(examples.validation_LND, running.layer_M)
    logits_MNC = _forward(_parts(running.weights_MP, shapes), features_MND)[-1]
    return (logits_MNC.argmax(dim=2) == examples.validation_labels_N).double().mean(dim=1).float()
