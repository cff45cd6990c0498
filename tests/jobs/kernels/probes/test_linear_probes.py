"""Linear probes: a planted signal beside controls, scikit-learn as the slow version, and what is refused."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.preprocessing import StandardScaler

from layerscope.jobs.kernels.probes.linear_probes import linear_probes

NUM_CLASSES = 3


def planted(*, num_layers=4, planted_layer=2, num_examples=150, width=16, strength=1.5, seed=0):
    """Noise, but in one layer the rows stand around a centre per label: train, labels, test, labels."""
    rng = np.random.default_rng(seed)
    centres = strength * rng.normal(size=(NUM_CLASSES, width))
    labels = rng.integers(NUM_CLASSES, size=2 * num_examples)
    layers = rng.normal(size=(num_layers, 2 * num_examples, width)).astype(np.float32)
    layers[planted_layer] += centres[labels]
    train, test = (list(part) for part in np.split(layers, 2, axis=1))
    return train, labels[:num_examples], test, labels[num_examples:]


def probe(data, **options):
    return linear_probes(*data, **{"num_classes": NUM_CLASSES, "seed": 0, **options})


def test_the_signal_is_found_in_the_layer_where_it_was_planted_and_in_no_other():
    result = probe(planted(planted_layer=2))
    assert result.accuracy_L[2] > 0.95 and result.macro_f1_L[2] > 0.95
    # Chance is 1/3; 150 test examples have a standard error of 0.04.
    assert np.delete(result.accuracy_L, 2) == pytest.approx(1 / 3, abs=0.12)


def test_shuffled_labels_leave_nothing_to_find():
    train, labels, test, test_labels = planted()
    shuffled = np.random.default_rng(1).permutation(labels)
    result = probe((train, shuffled, test, test_labels))
    assert result.accuracy_L == pytest.approx(1 / 3, abs=0.12)


def test_each_layer_gets_what_it_gets_alone():
    train, labels, test, test_labels = planted(strength=0.5)
    together = probe((train, labels, test, test_labels))
    assert len(set(together.penalty_L)) > 1
    for index in range(len(train)):
        alone = probe((train[index : index + 1], labels, test[index : index + 1], test_labels))
        assert alone.penalty_L[0] == together.penalty_L[index]
        assert (alone.predictions_LRN[0, 0] == together.predictions_LRN[index, 0]).all()


@pytest.mark.parametrize("penalty", [1e-3, 1e-1])
def test_predictions_agree_with_scikit_learn_but_for_one_example(penalty):
    train, labels, test, test_labels = planted(strength=0.5)
    result = probe((train, labels, test, test_labels), penalties=(penalty,))
    for index, (train_ND, test_ND) in enumerate(zip(train, test, strict=True)):
        scaler = StandardScaler().fit(train_ND)
        peer = LogisticRegression(C=1 / (penalty * len(labels)), tol=1e-8, max_iter=5000)
        expected = peer.fit(scaler.transform(train_ND), labels).predict(scaler.transform(test_ND))
        assert (result.predictions_LRN[index, 0] != expected).sum() <= 1
        assert result.accuracy_L[index] == pytest.approx(np.mean(expected == test_labels), abs=1.1 / 150)


def test_two_labels_are_penalised_as_scikit_learn_does():
    train, labels, test, test_labels = planted(num_layers=6, strength=0.3)
    labels, test_labels = (labels == 2).astype(int), (test_labels == 2).astype(int)
    result = probe((train, labels, test, test_labels), penalties=(0.3,), num_classes=2)
    for index, (train_ND, test_ND) in enumerate(zip(train, test, strict=True)):
        scaler = StandardScaler().fit(train_ND)
        peer = LogisticRegression(C=1 / (0.3 * len(labels)), tol=1e-10).fit(
            scaler.transform(train_ND), labels
        )
        expected = peer.predict(scaler.transform(test_ND))
        # Half the penalty tips 4 to 15 of the examples.
        assert (result.predictions_LRN[index, 0] != expected).sum() <= 1


def test_macro_f1_is_that_of_scikit_learn():
    data = planted(strength=0.5)
    result = probe(data)
    expected = [
        f1_score(data[3], predictions, average="macro") for predictions in result.predictions_LRN[:, 0]
    ]
    assert result.macro_f1_L == pytest.approx(expected)


def test_scale_and_shift_of_a_feature_change_no_prediction():
    train, labels, test, test_labels = planted(strength=0.5)
    scale, shift = np.geomspace(1e-3, 1e3, 16), np.linspace(-5, 5, 16)
    moved_train, moved_test = ([layer * scale + shift for layer in part] for part in (train, test))
    expected = probe((train, labels, test, test_labels))
    result = probe((moved_train, labels, moved_test, test_labels))
    assert (result.predictions_LRN == expected.predictions_LRN).all()


@pytest.mark.parametrize("value", [0.0, 0.1, 12345.678])
def test_a_layer_that_is_the_same_for_all_examples_predicts_the_majority(value):
    train, labels, test, test_labels = planted()
    labels[:100] = 1
    train[0][:], test[0][:] = value, value + 1
    result = probe((train, labels, test, test_labels))
    assert (result.predictions_LRN[0, 0] == 1).all()
    assert result.accuracy_L[0] == result.majority_accuracy == np.mean(test_labels == 1)


def test_a_constant_feature_is_ignored_even_where_test_moves_it():
    train, labels, test, test_labels = planted()
    expected = probe((train, labels, test, test_labels))
    widened_train = [np.column_stack([layer, np.full(len(layer), np.float32(0.1))]) for layer in train]
    widened_test = [np.column_stack([layer, np.arange(len(layer))]) for layer in test]
    result = probe((widened_train, labels, widened_test, test_labels))
    assert (result.predictions_LRN == expected.predictions_LRN).all()


def test_a_class_may_be_missing_in_test_and_another_in_train():
    train, labels, test, test_labels = planted()
    test_labels = np.where(test_labels == 0, 3, test_labels)
    result = probe((train, labels, test, test_labels), num_classes=5)
    assert set(result.predictions_LRN[2, 0]) <= {0, 1, 2}
    assert result.accuracy_L[2] == pytest.approx(np.mean(test_labels != 3), abs=0.05)


def test_a_single_class_is_always_predicted():
    train, labels, test, test_labels = planted()
    result = probe((train, np.full_like(labels, 2), test, test_labels))
    assert (result.predictions_LRN == 2).all()


def test_of_equally_accurate_penalties_the_strongest_is_chosen_whatever_their_order():
    data = planted(strength=6)
    for penalties in ((1e-4, 1e-2), (1e-2, 1e-4)):
        assert probe(data, penalties=penalties).penalty_L[2] == 1e-2


def test_the_penalty_is_one_that_holds_up_on_examples_not_fitted():
    """A third of the train labels are shuffled: without a penalty a probe learns them by heart."""
    train, labels, test, test_labels = planted(num_layers=1, planted_layer=0, width=80)
    labels[::3] = np.random.default_rng(1).permutation(labels[::3])
    data = train, labels, test, test_labels
    chosen = probe(data, penalties=(1e-6, 1.0))
    assert chosen.penalty_L[0] == 1.0
    assert chosen.accuracy_L[0] > probe(data, penalties=(1e-6,)).accuracy_L[0] + 0.1


def test_read_only_inputs_of_any_float_type_are_taken_and_left_as_they_were():
    data = planted()
    for dtype in (np.float16, np.float32, np.float64):
        train, test = ([layer.astype(dtype) for layer in part] for part in (data[0], data[2]))
        before = [layer.copy() for layer in train + test]
        for array in [*train, *test, data[1], data[3]]:
            array.setflags(write=False)
        assert probe((train, data[1], test, data[3])).accuracy_L[2] > 0.95
        assert all((layer == old).all() for layer, old in zip(train + test, before, strict=True))


def test_the_same_seed_gives_the_same_result():
    data = planted(strength=0.5)
    first, again = probe(data), probe(data)
    assert (first.predictions_LRN == again.predictions_LRN).all() and (
        first.penalty_L == again.penalty_L
    ).all()


def without_layers(train, labels, test, test_labels):
    return [], labels, test, test_labels


def with_a_short_layer(train, labels, test, test_labels):
    return [train[0], train[1][:-1]], labels, test[:2], test_labels


def with_fewer_test_layers(train, labels, test, test_labels):
    return train, labels, test[:1], test_labels


def with_a_label_too_large(train, labels, test, test_labels):
    return train, labels, test, np.where(test_labels == 0, 3, test_labels)


def with_float_labels(train, labels, test, test_labels):
    return train, labels.astype(float), test, test_labels


def with_nan(train, labels, test, test_labels):
    return [train[0], np.full_like(train[1], np.nan)], labels, test[:2], test_labels


def with_pairs_only(train, labels, test, test_labels):
    return [layer[:6] for layer in train], np.array([0, 0, 1, 1, 2, 2]), test, test_labels


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without_layers, "train has no layers"),
        (with_a_short_layer, r"train layer 1 has shape \(149, 16\).*must be \(150, 16\)"),
        (with_fewer_test_layers, "train has 4 layers of width 16 and test has 1"),
        (with_a_label_too_large, "test labels run from 1 to 3.*0 to 2"),
        (with_float_labels, "train labels must be a list of integers, got float64"),
        (with_nan, "train layer 1 has values that are not finite"),
        (with_pairs_only, "no class has the 3 examples"),
    ],
)
def test_what_cannot_be_probed_is_refused_with_a_reason(spoil, message):
    with pytest.raises(ValueError, match=message):
        probe(spoil(*planted()))


@pytest.mark.parametrize("penalties", [(), (0.0,), (-1.0, 1.0)])
def test_penalties_must_be_positive_numbers(penalties):
    with pytest.raises(ValueError, match="positive numbers"):
        probe(planted(), penalties=penalties)
