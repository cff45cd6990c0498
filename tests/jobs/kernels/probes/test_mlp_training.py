"""Networks trained side by side: the plain loop over one, independence, and the gradient."""

from dataclasses import replace

import pytest
import torch

from layerscope.jobs.kernels.probes import mlp_training
from layerscope.jobs.kernels.probes.mlp_training import Member, Schedule, train_members
from tests.jobs.kernels.probes.naive_mlp import examples, train_one

SHORT = Schedule(batch_size=16, learning_rate=3e-3)


MEMBERS = [
    Member(layer, sizes, decay, start)
    for layer in (0, 1)
    for sizes in ((8, 4), (5, 9))
    for decay, start in ((1e-3, 0), (10.0, 0), (1e-3, 1))
]


EPOCHS = [1 + index % 8 for index in range(len(MEMBERS))]


def train(data, asked, members=MEMBERS, epochs=EPOCHS, schedule=SHORT, seed=3):
    return train_members(data, members, epochs, asked.layers_LND, schedule=schedule, seed=seed)


def test_each_network_trains_as_the_plain_loop_trains_it_for_as_many_epochs():
    data, _, asked = examples()
    predictions_MN = train(data, asked)
    for index, member in enumerate(MEMBERS):
        *_, logits = train_one(data, member, SHORT, epochs=EPOCHS[index], seed=3, asked_LND=asked.layers_LND)
        # Sums of float32 are taken in another order: over some 20 small steps weights part by 1e-6 or so, by
        # which an example right on the border may change sides, here none.
        assert (predictions_MN[index] == logits.argmax(dim=1).numpy()).mean() >= 1 - 1.1 / 30
    assert (train(data, asked, epochs=[8] * len(MEMBERS)) != predictions_MN).any(), (
        "epochs made no difference"
    )


def test_a_network_trains_alike_alone_and_among_others():
    data, _, asked = examples()
    together = train(data, asked)
    for index, member in enumerate(MEMBERS):
        alone = train(data, asked, [member], EPOCHS[index : index + 1])
        # As above: the same sums, perhaps by another kernel.
        assert (alone[0] == together[index]).mean() >= 1 - 1.1 / 30


def cohort_weights(data, members, epochs, schedule=SHORT):
    """The matrices and biases after some epochs, of members of the same sizes."""
    (cohort,) = mlp_training.begin_cohorts(data, members, schedule=schedule, seed=0)
    for epoch in range(1, epochs + 1):
        mlp_training.train_epoch(data, cohort, epoch, schedule=schedule, seed=0)
    return cohort.weights


def test_the_weights_are_those_of_a_network_alone_whatever_layers_are_beside_it():
    """The first matrices of members of one layer are one to its features."""
    data, _, _ = examples()
    members = [Member(layer, (8, 4), decay) for layer in (0, 1) for decay in (1e-3, 1.0)]
    together = cohort_weights(data, members, epochs=5)
    for index, member in enumerate(members):
        alone = cohort_weights(data, [member], epochs=5)
        # Adam's first steps are +-learning_rate whatever the gradient's size, so rounding of 1e-7 in a
        # gradient near 0 may move a weight by a part of 3e-3; after 15 steps they were seen 1e-7 apart.
        for part, part_alone in zip(together, alone, strict=True):
            torch.testing.assert_close(part[index], part_alone[0], rtol=1e-4, atol=1e-5)


def test_members_that_go_on_do_so_as_if_the_others_had_never_been():
    data, _, _ = examples()
    members = [Member(layer, (8, 4), decay) for decay in (1e-3, 1e-1) for layer in (1, 0)]
    (cohort,) = mlp_training.begin_cohorts(data, members, schedule=SHORT, seed=0)
    assert cohort.index_M.tolist() == [1, 3, 0, 2], "members of one layer do not stand side by side"
    for epoch in (1, 2, 3):
        mlp_training.train_epoch(data, cohort, epoch, schedule=SHORT, seed=0)
    going = cohort.only(torch.tensor([False, True, True, False]))
    for epoch in (4, 5):
        mlp_training.train_epoch(data, going, epoch, schedule=SHORT, seed=0)
    assert going.index_M.tolist() == [3, 0]
    expected = cohort_weights(data, [members[3], members[0]], epochs=5)
    for part, part_alone in zip(going.weights, expected, strict=True):
        # As in the test above.
        torch.testing.assert_close(part, part_alone, rtol=1e-4, atol=1e-5)


def test_members_too_many_for_one_cohort_are_split_and_get_the_same(monkeypatch):
    data, _, asked = examples()
    expected = train(data, asked)
    monkeypatch.setattr(mlp_training, "BYTES_AT_ONCE", {"cpu": 1})
    cohorts = list(mlp_training.begin_cohorts(data, MEMBERS, schedule=SHORT, seed=3))
    assert [len(cohort) for cohort in cohorts] == [1] * len(MEMBERS)
    assert (train(data, asked) == expected).mean() >= 1 - 1.1 / 30


def test_bfloat16_is_as_accurate_up_to_noise_and_another_course():
    data, _, asked = examples(num_examples=1200, num_layers=1, strength=0.6)
    members = [Member(0, (16, 16), 1e-3, start) for start in range(12)]
    wide, narrow = (
        train(data, asked, members, [30] * 12, Schedule(32, precision=precision))
        for precision in ("float32", "bfloat16")
    )
    assert (wide != narrow).any(), "both were trained in the same precision"
    wide_M, narrow_M = ((part == asked.labels_N.numpy()).mean(axis=1) for part in (wide, narrow))
    assert wide_M.min() > 0.75, "there was nothing to lose"
    # Starts differ by 0.01 in accuracy over 400 examples, so means of 12 by 0.003.
    assert narrow_M.mean() == pytest.approx(wide_M.mean(), abs=0.012)


def test_a_network_in_bfloat16_is_the_one_that_it_is_alone():
    data, _, _ = examples()
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
    """In float64, where the two ways agree to rounding, with a last hidden unit that never fires.

    After the first step of Adam, its first moment is a tenth of the gradient of all examples.
    """
    data, _, _ = examples()
    members = [Member(layer, (8, 4), decay, layer) for layer, decay in ((0, 0.125), (1, 2.0))]
    (cohort,) = mlp_training.begin_cohorts(data, members, schedule=SHORT, seed=0)
    cohort.weights[3][:, -1] = -1e3
    cohort = replace(
        cohort,
        decay_M11=cohort.decay_M11.double(),
        **{
            name: tuple(map(torch.Tensor.double, getattr(cohort, name)))
            for name in ("weights", "means", "squares")
        },
    )
    parts = [part.clone().requires_grad_() for part in cohort.weights]
    whole = replace(SHORT, batch_size=len(data.labels_N), precision="float64")
    mlp_training.train_epoch(data, cohort, 1, schedule=whole, seed=0)
    gradients = [mean / (1 - 0.9) for mean in cohort.means]

    layers_LND, decay_M11 = data.layers_LND.double(), cohort.decay_M11
    targets_CB = torch.nn.functional.one_hot(data.labels_N, 3).double().T
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
    batches = mlp_training.equal_batches(torch.arange(num_examples), 200)
    assert [len(batch) for batch in batches] == sizes
    assert torch.equal(torch.cat(batches), torch.arange(num_examples))


def test_a_strong_decay_leaves_less_to_learn_by_heart():
    data, _, _ = examples(strength=0.0)
    weak, strong = (cohort_norm(data, Member(0, (8, 4), decay), epochs=120) for decay in (0.0, 10.0))
    assert strong < 0.1 * weak


def cohort_norm(data, member, epochs):
    return sum(matrix.square().sum() for matrix in cohort_weights(data, [member], epochs)[::2])
