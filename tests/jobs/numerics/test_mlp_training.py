"""Networks trained side by side: the plain loop over one, independence, stopping, and the gradient."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from jobs.numerics import mlp_training
from jobs.numerics.mlp_training import Examples, Member, Schedule, train_members

SHORT = Schedule(batch_size=16, max_epochs=8, learning_rate=3e-3)


def examples(*, num_layers=2, num_examples=90, width=12, num_classes=3, strength=1.0, seed=0):
    rng = np.random.default_rng(seed)
    labels = torch.from_numpy(rng.integers(num_classes, size=num_examples))
    centres = torch.from_numpy(strength * rng.normal(size=(num_layers, num_classes, width)))
    noise = torch.from_numpy(rng.normal(size=(num_layers, num_examples, width)))
    layers = (noise + centres[:, labels]).float()
    third = num_examples // 3
    return Examples(
        layers[:, :third],
        labels[:third],
        layers[:, third : 2 * third],
        labels[third : 2 * third],
        layers[:, 2 * third :],
        num_classes,
    )


def train_one(data, member, schedule, seed):
    """The slow obvious version: one torch module, autograd and torch.optim.Adam; epoch by epoch accuracy."""
    width, (first, second) = data.fitted_LND.shape[2], member.sizes
    network = torch.nn.Sequential(
        torch.nn.Linear(width, first),
        torch.nn.ReLU(),
        torch.nn.Linear(first, second),
        torch.nn.ReLU(),
        torch.nn.Linear(second, data.num_classes),
    )
    shapes = mlp_training._shapes(data, member.sizes)
    start = mlp_training._initial_weights(shapes, seed, member.start)
    linear = network[0], network[2], network[4]
    with torch.no_grad():
        for index, layer in enumerate(linear):
            layer.weight.copy_(start[2 * index])
            layer.bias.copy_(start[2 * index + 1][:, 0])
    optimiser = torch.optim.Adam(network.parameters(), lr=schedule.learning_rate)
    features_ND = data.fitted_LND[member.layer]
    best, waited, predictions = -1.0, 0, None
    for epoch in range(1, schedule.max_epochs + 1):
        order = torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(len(features_ND)))
        for batch in order.tensor_split(round(len(order) / schedule.batch_size)):
            optimiser.zero_grad()
            squares = sum(layer.weight.square().sum() for layer in linear)
            loss = torch.nn.functional.cross_entropy(network(features_ND[batch]), data.fitted_labels_N[batch])
            (loss + member.decay / (2 * len(batch)) * squares).backward()
            optimiser.step()
        with torch.no_grad():
            answers = network(data.validation_LND[member.layer]).argmax(dim=1)
            accuracy = (answers == data.validation_labels_N).double().mean().item()
            waited = 0 if accuracy >= best + 1e-4 else waited + 1
            if accuracy > best:
                best, predictions = accuracy, network(data.test_LND[member.layer]).argmax(dim=1).numpy()
        if waited > schedule.patience:
            break
    return best, epoch, predictions


MEMBERS = [
    Member(layer, sizes, decay, start)
    for layer in (0, 1)
    for sizes in ((8, 4), (5, 9))
    for decay, start in ((1e-3, 0), (10.0, 0), (1e-3, 1))
]


def test_each_network_trains_as_the_plain_loop_trains_it():
    data = examples()
    trained = train_members(data, MEMBERS, schedule=SHORT, seed=3)
    for index, member in enumerate(MEMBERS):
        accuracy, epochs, predictions = train_one(data, member, SHORT, seed=3)
        # Sums of float32 are taken in another order: over some 20 small steps weights part by 1e-6 or so, by
        # which an example right on the border may change sides, here none.
        assert trained.accuracy_M[index] == pytest.approx(accuracy, abs=1e-6)
        assert trained.epochs_M[index] == epochs
        assert (trained.predictions_MN[index] == predictions).mean() >= 1 - 1.1 / 30


def test_a_network_trains_alike_alone_and_among_others():
    data = examples()
    together = train_members(data, MEMBERS, schedule=SHORT, seed=3)
    for index, member in enumerate(MEMBERS):
        alone = train_members(data, [member], schedule=SHORT, seed=3)
        # As above: the same sums, perhaps by another kernel.
        assert alone.accuracy_M[0] == pytest.approx(together.accuracy_M[index], abs=1e-6)
        assert (alone.predictions_MN[0] == together.predictions_MN[index]).mean() >= 1 - 1.1 / 30


def cohort_weights(data, members, epochs, schedule=SHORT):
    """The matrices and biases after some epochs, with no early stop."""
    running = mlp_training._begin(data, members, seed=0)
    steps = [torch.zeros(()) for _ in running.weights]
    for epoch in range(1, epochs + 1):
        mlp_training._train_epoch(data, running, schedule, steps, mlp_training._order(data, 0, epoch))
    return running.weights


def test_the_weights_are_those_of_a_network_alone_whatever_layers_are_beside_it():
    """The first matrices of members of one layer are one to its features."""
    data = examples()
    members = [Member(layer, (8, 4), decay) for layer in (0, 1) for decay in (1e-3, 1.0)]
    together = cohort_weights(data, members, epochs=5)
    for index, member in enumerate(members):
        alone = cohort_weights(data, [member], epochs=5)
        # Adam's first steps are +-learning_rate whatever the gradient's size, so rounding of 1e-7 in a
        # gradient near 0 may move a weight by a part of 3e-3; after 15 steps they were seen 1e-7 apart.
        for part, part_alone in zip(together, alone, strict=True):
            torch.testing.assert_close(part[index], part_alone[0], rtol=1e-4, atol=1e-5)


def test_members_of_several_layers_in_one_cohort_end_as_they_would_layer_by_layer(monkeypatch):
    """Given in any order, and with some of each layer ended while others go on."""
    data = examples()
    members = [Member(layer, (8, 4), decay) for decay in (1e-3, 1e-1) for layer in (1, 0)]
    patient = Schedule(batch_size=16, max_epochs=60, patience=5, learning_rate=1e-2)
    assert mlp_training._cohorts(data, members, patient) == [[1, 3, 0, 2]]
    at_once = train_members(data, members, schedule=patient, seed=0)
    monkeypatch.setattr(mlp_training, "_cohorts", lambda *_: [[1, 3], [0, 2]])
    by_layer = train_members(data, members, schedule=patient, seed=0)
    assert len(set(at_once.epochs_M)) > 1, "all ended at once: no member had to leave the others"
    assert (at_once.epochs_M == by_layer.epochs_M).all()
    assert at_once.accuracy_M == pytest.approx(by_layer.accuracy_M, abs=1e-6)


def test_a_cohort_too_large_is_split_and_gives_the_same(monkeypatch):
    data = examples()
    expected = train_members(data, MEMBERS, schedule=SHORT, seed=3)
    monkeypatch.setattr(mlp_training, "_BYTES_AT_ONCE", {"cpu": 1})
    assert all(len(cohort) == 1 for cohort in mlp_training._cohorts(data, MEMBERS, SHORT))
    split = train_members(data, MEMBERS, schedule=SHORT, seed=3)
    assert split.accuracy_M == pytest.approx(expected.accuracy_M, abs=1e-6)


def test_bfloat16_is_as_accurate_up_to_noise_and_another_course():
    data = examples(num_examples=1200, num_layers=1, strength=0.6)
    members = [Member(0, (16, 16), 1e-3, start) for start in range(12)]
    wide, narrow = (
        train_members(data, members, schedule=Schedule(32, max_epochs=30, precision=precision), seed=0)
        for precision in ("float32", "bfloat16")
    )
    assert (wide.predictions_MN != narrow.predictions_MN).any(), "both were trained in the same precision"
    assert wide.accuracy_M.min() > 0.75, "there was nothing to lose"
    # Starts differ by 0.01 in accuracy over 400 examples, so means of 12 by 0.003.
    assert narrow.accuracy_M.mean() == pytest.approx(wide.accuracy_M.mean(), abs=0.012)


def test_a_network_in_bfloat16_is_the_one_that_it_is_alone():
    data = examples()
    narrow = replace(SHORT, precision="bfloat16")
    members = [Member(layer, (8, 4), decay) for layer in (0, 1) for decay in (1e-3, 1.0)]
    together = cohort_weights(data, members, 5, narrow)
    for index, member in enumerate(members):
        alone = cohort_weights(data, [member], 5, narrow)
        # A sum rounded to the other of two neighbours, 2^-8 apart, would move a weight by a part of the
        # learning rate in one of 15 steps; none was seen. What float32 trains lies 8e-3 away.
        for part, part_alone in zip(together, alone, strict=True):
            assert part.dtype == torch.float32
            torch.testing.assert_close(part[index], part_alone[0], rtol=0, atol=1e-3)


def test_the_gradient_is_that_of_autograd():
    """In float64, where the two ways agree to rounding, with a last hidden unit that never fires."""
    data = examples()
    shapes = mlp_training._shapes(data, (8, 4))
    starts = zip(*(mlp_training._initial_weights(shapes, 0, start) for start in (0, 1)), strict=True)
    parts = [torch.stack(start).double().requires_grad_() for start in starts]
    with torch.no_grad():
        parts[3][:, -1] = -1e3
    layers_LND = data.fitted_LND.double()
    features = [(slice(0, 1), layers_LND[0]), (slice(1, 2), layers_LND[1])]
    targets_CB = torch.nn.functional.one_hot(data.fitted_labels_N, 3).double().T
    decay_M11 = torch.tensor([0.1, 2.0], dtype=torch.float64)[:, None, None]
    gradients = [torch.empty_like(part) for part in parts]
    with torch.no_grad():
        mlp_training._write_gradient(parts, features, targets_CB, decay_M11, gradients)

    first, first_bias, second, second_bias, last, last_bias = parts
    units_MHB = (first @ layers_LND.mT + first_bias).relu()
    logits_MCB = last @ (second @ units_MHB + second_bias).relu() + last_bias
    entropy_M = -(logits_MCB.log_softmax(dim=1) * targets_CB).sum(dim=1).mean(dim=1)
    squares_M = sum(matrix.square().sum(dim=(1, 2)) for matrix in parts[::2])
    (entropy_M + decay_M11[:, 0, 0] / (2 * targets_CB.shape[1]) * squares_M).sum().backward()
    for part, gradient in zip(parts, gradients, strict=True):
        torch.testing.assert_close(gradient, part.grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("num_examples", "sizes"), [(801, [201, 200, 200, 200]), (7, [7]), (330, [165, 165]), (400, [200, 200])]
)
def test_an_epoch_has_batches_of_equal_size_and_shows_each_example_once(num_examples, sizes):
    batches = mlp_training._batches(torch.arange(num_examples), 200)
    assert [len(batch) for batch in batches] == sizes
    assert torch.equal(torch.cat(batches), torch.arange(num_examples))


def test_a_network_stops_after_patience_without_gain_and_keeps_its_best():
    data = examples(strength=4.0)
    longer = Schedule(batch_size=16, max_epochs=500, patience=20, learning_rate=1e-2)
    trained = train_members(data, MEMBERS[:1], schedule=longer, seed=0)
    accuracy, epochs, _ = train_one(data, MEMBERS[0], longer, seed=0)
    assert trained.epochs_M[0] == epochs < 500
    assert trained.accuracy_M[0] == accuracy == 1.0


def test_a_strong_decay_leaves_less_to_learn_by_heart():
    data = examples(strength=0.0)
    long = Schedule(batch_size=16, max_epochs=120, patience=120, learning_rate=1e-2)
    weak, strong = (
        cohort_norm(data, Member(0, (8, 4), decay), epochs=long.max_epochs) for decay in (0.0, 10.0)
    )
    assert strong < 0.1 * weak


def cohort_norm(data, member, epochs):
    return sum(matrix.square().sum() for matrix in cohort_weights(data, [member], epochs)[::2])
