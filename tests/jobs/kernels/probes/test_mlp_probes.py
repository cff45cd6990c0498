"""Probes with hidden layers: what a linear probe cannot find, controls, independence, and what is refused."""

import numpy as np
import pytest
from sklearn.metrics import f1_score
from sklearn.neural_network import MLPClassifier

from layerscope.jobs.kernels.probes.linear_probes import linear_probes
from layerscope.jobs.kernels.probes.mlp_probes import mlp_probes
from layerscope.jobs.kernels.probes.mlp_training import Schedule

SIZES = ((8, 8), (32, 16))
DECAYS = (1e-4, 1e-1)
SCHEDULE = Schedule(batch_size=64, learning_rate=1e-2, max_epochs=60)


def exclusive_or(*, num_layers=3, planted_layer=1, num_examples=600, width=6, seed=0):
    """Noise, but in one layer the label says whether the first two features have the same sign."""
    rng = np.random.default_rng(seed)
    layers = rng.normal(size=(num_layers, 2 * num_examples, width)).astype(np.float32)
    labels = (layers[planted_layer, :, 0] * layers[planted_layer, :, 1] > 0).astype(np.int64)
    train, test = (list(part) for part in np.split(layers, 2, axis=1))
    return train, labels[:num_examples], test, labels[num_examples:]


def probe(data, **options):
    settings = {"sizes": SIZES, "decays": DECAYS, "schedule": SCHEDULE, "num_starts": 2}
    return mlp_probes(*data, **{**settings, "num_classes": 2, "seed": 0, **options})


@pytest.fixture(scope="module")
def data():
    return exclusive_or()


@pytest.fixture(scope="module")
def result(data):
    return probe(data)


def test_what_no_line_separates_is_found_where_it_was_planted_and_nowhere_else(data, result):
    assert result.accuracy_L[1] > 0.9 and result.macro_f1_L[1] > 0.9
    # Chance is 1/2 with a standard error of 0.02 over 600 test examples.
    assert result.accuracy_L[[0, 2]] == pytest.approx(0.5, abs=0.1)
    assert linear_probes(*data, num_classes=2, seed=0).accuracy_L[1] == pytest.approx(0.5, abs=0.1)


def test_fits_differ_in_their_initialisation_and_their_spread_is_told(data, result):
    assert result.predictions_LRN.shape == (3, 2, 600)
    accuracy_LR = (result.predictions_LRN == data[3]).mean(axis=2)
    assert result.accuracy_L == pytest.approx(accuracy_LR.mean(axis=1))
    assert result.accuracy_deviation_L == pytest.approx(accuracy_LR.std(axis=1, ddof=1))
    assert (result.predictions_LRN[0, 0] != result.predictions_LRN[0, 1]).any()
    assert (result.accuracy_deviation_L > 0).all()


def test_each_layer_gets_what_it_gets_alone(data, result):
    train, labels, test, test_labels = data
    for layer in range(3):
        alone = probe((train[layer : layer + 1], labels, test[layer : layer + 1], test_labels))
        assert alone.sizes_L[0] == result.sizes_L[layer] and alone.penalty_L[0] == result.penalty_L[layer]
        # The same course up to the rounding of float32 sums: only examples right on the border may differ.
        assert (alone.predictions_LRN[0] != result.predictions_LRN[layer]).mean() < 0.01


def test_the_same_seed_gives_the_same_result_and_another_one_another(data, result):
    again, other = probe(data), probe(data, seed=1, sizes=SIZES[:1], decays=DECAYS[:1])
    assert (again.predictions_LRN == result.predictions_LRN).all()
    assert (other.predictions_LRN != result.predictions_LRN).any()


def test_the_accuracy_is_that_of_scikit_learn(data, result):
    """The same sizes, decay, batch, rate and patience; another validation part and other initialisations."""
    peers = [
        MLPClassifier(
            result.sizes_L[1],
            alpha=result.penalty_L[1],
            batch_size=64,
            learning_rate_init=1e-2,
            early_stopping=True,
            validation_fraction=0.2,
            max_iter=60,
            random_state=seed,
        )
        .fit(data[0][1], data[1])
        .score(data[2][1], data[3])
        for seed in range(3)
    ]
    # Both vary by some 0.01 between initialisations.
    assert result.accuracy_L[1] == pytest.approx(np.mean(peers), abs=0.04)


def test_grid_points_that_are_alike_right_give_the_smallest_with_the_strongest_decay():
    train, labels, test, test_labels = exclusive_or()
    separated = [layer + 8 * np.asarray(part)[:, None] for layer, part in ((train[0], labels),)]
    far = (separated, labels, [test[0] + 8 * test_labels[:, None]], test_labels)
    result = probe(far, sizes=((32, 16), (8, 8)), decays=(1e-4, 1e-1))
    assert result.sizes_L == ((8, 8),) and result.penalty_L[0] == 1e-1
    assert result.accuracy_L[0] == 1 and result.accuracy_deviation_L[0] == 0


def test_a_layer_that_is_the_same_for_all_examples_predicts_the_majority():
    train, labels, test, test_labels = exclusive_or(num_layers=1, planted_layer=0)
    labels[:500] = 1
    result = probe(([np.ones_like(train[0])], labels, [np.zeros_like(test[0])], test_labels))
    assert (result.predictions_LRN == 1).all()
    assert result.accuracy_L[0] == result.majority_accuracy == np.mean(test_labels == 1)
    assert result.macro_f1_L[0] == f1_score(test_labels, np.ones_like(test_labels), average="macro")


def test_a_class_that_train_does_not_show_is_never_predicted(data):
    train, labels, test, test_labels = data
    moved = (train[1:2], 2 * labels, test[1:2], np.where(test_labels == 1, 2, 1))
    result = probe(moved, num_classes=4)
    assert set(np.unique(result.predictions_LRN)) == {0, 2}
    # Of the test examples only those of class 2 can be right.
    assert result.accuracy_L[0] == pytest.approx(np.mean(test_labels == 1), abs=0.1)


def test_a_single_grid_point_and_a_single_start_are_enough(data):
    result = probe(data, sizes=((8, 8),), decays=(0.0,), num_starts=1)
    assert result.predictions_LRN.shape == (3, 1, 600)
    assert (result.accuracy_deviation_L == 0).all()


def test_inputs_are_left_as_they_were(data):
    before = [layer.copy() for layer in data[0]]
    for array in [*data[0], *data[2], data[1], data[3]]:
        array.setflags(write=False)
    probe(data, sizes=SIZES[:1], decays=DECAYS[:1], num_starts=1)
    assert all((layer == old).all() for layer, old in zip(data[0], before, strict=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sizes": ()}, "sizes must be one or more pairs"),
        ({"sizes": ((8, 0),)}, "pairs of positive widths"),
        ({"decays": ()}, "decays must be one or more numbers"),
        ({"decays": (-1.0,)}, "of at least 0"),
        ({"num_starts": 0}, "num_starts must be at least 1, got 0"),
        ({"schedule": Schedule(batch_size=0)}, "a batch of 1 or more"),
        ({"num_classes": 1}, "train labels run from 0 to 1"),
    ],
)
def test_settings_that_mean_nothing_are_refused(data, options, message):
    with pytest.raises(ValueError, match=message):
        probe(data, **options)


def test_train_examples_too_few_to_hold_one_out_are_refused(data):
    train, _, test, test_labels = data
    few = ([layer[:4] for layer in train], np.array([0, 0, 1, 1]), test, test_labels)
    with pytest.raises(ValueError, match="no class has the 3 examples"):
        probe(few)
