"""Refitted heads: the probes of the same layers, in the units of the states."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from layerscope.jobs.kernels.probes.linear_probes import linear_probes
from layerscope.jobs.kernels.probes.refitted_heads import refitted_heads

PENALTIES = (1e-2, 1.0)


def layers(num_examples, *, seed, num_classes=3, width=6):
    random = np.random.default_rng(seed)
    labels = np.arange(num_examples) % num_classes
    shifted = 5 + 3 * random.normal(size=(num_examples, width)) + 2 * np.eye(num_classes, width)[labels]
    return [random.normal(size=(num_examples, width)).astype(np.float32), shifted.astype(np.float32)], labels


def test_of_two_labels_the_logits_differ_as_scikit_learns_do():
    train, labels = layers(120, seed=0, num_classes=2)
    heads = refitted_heads(train, labels, penalties=(0.1,), num_classes=2, seed=0)
    for layer_ND, weight_KD, bias_K in zip(train, heads.weight_LKD, heads.bias_LK, strict=True):
        scaler = StandardScaler().fit(layer_ND)
        peer = LogisticRegression(C=1 / (0.1 * 120), tol=1e-10).fit(scaler.transform(layer_ND), labels)
        logits_NK = layer_ND @ weight_KD.T + bias_K
        expected_N = peer.decision_function(scaler.transform(layer_ND))
        # The objective is solved to 1e-5 of itself; half the penalty moves logits by a third or so.
        assert logits_NK[:, 1] - logits_NK[:, 0] == pytest.approx(
            expected_N, abs=0.02 * float(np.ptp(expected_N))
        )


def test_their_predictions_are_those_of_the_probes():
    (train, labels), (test, test_labels) = layers(120, seed=0), layers(60, seed=1)
    heads = refitted_heads(train, labels, penalties=PENALTIES, num_classes=3, seed=0)
    probes = linear_probes(train, labels, test, test_labels, penalties=PENALTIES, num_classes=3, seed=0)
    np.testing.assert_array_equal(heads.penalty_L, probes.penalty_L)
    np.testing.assert_array_equal(heads.logits(test).argmax(axis=2), probes.predictions_LRN[:, 0])
    assert heads.weight_LKD.dtype == heads.bias_LK.dtype == np.float32
    assert heads.weight_LKD.shape == (2, 3, 6)


def test_a_label_that_train_does_not_show_is_never_predicted():
    train, labels = layers(60, seed=0, num_classes=2)
    heads = refitted_heads(train, labels + 1, penalties=PENALTIES, num_classes=4, seed=0)
    assert set(np.unique(heads.logits(layers(500, seed=2)[0]).argmax(axis=2))) <= {1, 2}


def test_a_layer_that_does_not_vary_predicts_the_majority():
    train, labels = layers(60, seed=0, num_classes=2)
    labels[:20] = 1
    constant = np.full_like(train[0], 3.25)
    heads = refitted_heads([constant], labels, penalties=PENALTIES, num_classes=2, seed=0)
    assert (heads.logits([constant[:5]]).argmax(axis=2) == 1).all()
    assert not heads.weight_LKD.any()


@pytest.mark.parametrize("penalties", [(), (0.0,), (-1.0, 1.0)])
def test_penalties_that_are_not_positive_are_refused(penalties):
    train, labels = layers(30, seed=0)
    with pytest.raises(ValueError, match="penalties must be one or more positive numbers"):
        refitted_heads(train, labels, penalties=penalties, num_classes=3, seed=0)


def test_labels_that_there_are_not_are_refused():
    train, labels = layers(30, seed=0)
    with pytest.raises(ValueError, match="train labels run from 0 to 2"):
        refitted_heads(train, labels, penalties=PENALTIES, num_classes=2, seed=0)
