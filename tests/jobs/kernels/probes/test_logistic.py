"""Logistic regression: what holds at the minimum, scikit-learn as the slow version, independent problems."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from layerscope.jobs.kernels.probes.logistic import fit_logistic, predict_classes

PENALTIES = (1e-4, 1e-2, 1.0)


def layers_and_labels(*, num_layers=2, num_examples, width, num_classes=3, seed=0):
    """Correlated features of unequal size, of which each layer shows the labels more than the last."""
    rng = np.random.default_rng(seed)
    labels = np.arange(num_examples) % num_classes
    centres = rng.normal(size=(num_classes, width))
    layers = [
        rng.normal(size=(num_examples, width))
        / np.sqrt(1 + np.arange(width))
        @ rng.normal(size=(width, width))
        + 0.5 * index * centres[labels]
        for index in range(num_layers)
    ]
    layers = [(layer - layer.mean(axis=0)) / layer.std(axis=0) for layer in layers]
    return np.stack(layers), labels


def fit(layers, labels, penalties=PENALTIES):
    penalty_LG = torch.tensor([penalties] * len(layers), dtype=torch.float64)
    return fit_logistic(torch.from_numpy(layers), torch.from_numpy(labels), penalty_LG)


def objective(layer, labels, weights_CD, intercepts_C, penalty):
    """The documented objective, once more and plainly."""
    logits = layer @ weights_CD.T + intercepts_C
    logits = logits - logits.max(axis=1, keepdims=True)
    entropies = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]
    return entropies.mean() + penalty / 2 * np.square(weights_CD).sum()


# More examples than features, and fewer.
BOTH_SHAPES = pytest.mark.parametrize(("num_examples", "width"), [(90, 12), (45, 60)])


@BOTH_SHAPES
def test_every_problem_reaches_the_objective_of_scikit_learn(num_examples, width):
    layers, labels = layers_and_labels(num_examples=num_examples, width=width)
    fits = fit(layers, labels)
    predictions_LGN = predict_classes(fits, torch.from_numpy(layers)).numpy()
    for index, layer in enumerate(layers):
        for column, penalty in enumerate(PENALTIES):
            peer = LogisticRegression(C=1 / (penalty * num_examples), tol=1e-8, max_iter=5000).fit(
                layer, labels
            )
            expected = objective(layer, labels, peer.coef_, peer.intercept_, penalty)
            reached = objective(
                layer,
                labels,
                fits.weights_LCGD[index, :, column].numpy(),
                fits.intercepts_LCG[index, :, column].numpy(),
                penalty,
            )
            # Solved to 1e-5 of the objective; the peer's own tolerance is finer.
            assert reached == pytest.approx(expected, rel=2e-5)
            assert (predictions_LGN[index, column] != peer.predict(layer)).sum() <= 1


@BOTH_SHAPES
def test_a_problem_is_solved_alike_alone_and_among_others(num_examples, width):
    layers, labels = layers_and_labels(num_examples=num_examples, width=width)
    together = fit(layers, labels)
    for index in range(len(layers)):
        for column, penalty in enumerate(PENALTIES):
            alone = fit(layers[index : index + 1], labels, (penalty,))
            # The course is the same; sums may be rounded in another order.
            torch.testing.assert_close(
                together.weights_LCGD[index, :, column], alone.weights_LCGD[0, :, 0], rtol=1e-6, atol=1e-9
            )


def test_two_classes_have_opposite_weights_and_their_chances_match_the_counts():
    """At the minimum the mean chance of a class is its frequency, since intercepts are free."""
    layers, labels = layers_and_labels(num_examples=90, width=12, num_classes=3)
    labels = (labels == 0).astype(np.int64)
    fits = fit(layers, labels, (1e-2,))
    weights, intercepts = fits.weights_LCGD[0, :, 0], fits.intercepts_LCG[0, :, 0]
    assert torch.allclose(weights.sum(dim=0), torch.zeros(12, dtype=torch.float64), atol=1e-9)
    chances = (torch.from_numpy(layers[0]) @ weights.T + intercepts).softmax(dim=1)
    assert chances.mean(dim=0).tolist() == pytest.approx([2 / 3, 1 / 3], abs=1e-3)


def test_a_single_class_is_always_predicted():
    layers, labels = layers_and_labels(num_examples=20, width=4)
    predictions = predict_classes(fit(layers, np.zeros_like(labels)), torch.from_numpy(layers))
    assert (predictions == 0).all()


def test_features_that_are_all_zero_leave_the_class_frequencies():
    labels = np.array([0, 1, 1, 1, 2, 2])
    fits = fit(np.zeros((1, 6, 3)), labels, (0.1,))
    chances = fits.intercepts_LCG[0, :, 0].softmax(dim=0)
    assert chances.tolist() == pytest.approx([1 / 6, 3 / 6, 2 / 6], abs=1e-3)
    assert (fits.weights_LCGD == 0).all()


def test_a_penalty_too_small_for_float64_is_refused_by_name():
    layers, labels = layers_and_labels(num_examples=20, width=30)
    with pytest.raises(ValueError, match="feature set 0 with penalty 1e-30 did not reach"):
        fit(layers, labels, (1.0, 1e-30))


@BOTH_SHAPES
@pytest.mark.parametrize("num_classes", [2, 3, 5])
def test_a_penalty_is_one_over_c_times_the_examples_for_two_classes_as_for_more(
    num_examples, width, num_classes
):
    layers, labels = layers_and_labels(
        num_layers=1, num_examples=num_examples, width=width, num_classes=num_classes
    )
    # Unequal counts: with equal ones a wrong intercept would be no matter.
    labels = np.where(np.arange(num_examples) < num_examples // 3, 0, labels)
    fits = fit(layers, labels, penalties=(1e-2, 1.0))
    for column, penalty in enumerate((1e-2, 1.0)):
        peer = LogisticRegression(C=1 / (penalty * num_examples), tol=1e-10, max_iter=10_000)
        peer.fit(layers[0], labels)
        weights_CD = fits.weights_LCGD[0, :, column].numpy()
        intercepts_C = fits.intercepts_LCG[0, :, column].numpy()
        logits_NC = layers[0] @ weights_CD.T + intercepts_C
        chances = torch.from_numpy(logits_NC).softmax(dim=1).numpy()
        if num_classes == 2:  # scikit-learn has the one logit
            weights_CD = weights_CD[1:] - weights_CD[:1]
        # An objective within 1e-5 of itself, here at most 1.6, leaves weights this near to those of its
        # minimum; twice that penalty, or half, moves them by far more than a tenth.
        length = np.linalg.norm(peer.coef_)
        allowed = np.sqrt(3.2e-5 / penalty)
        assert np.linalg.norm(weights_CD - peer.coef_) < allowed and allowed < 0.1 * length
        assert chances == pytest.approx(peer.predict_proba(layers[0]), abs=0.02)


def test_a_penalty_that_is_refused_is_the_one_that_was_asked_for():
    layers, labels = layers_and_labels(num_examples=20, width=30, num_classes=2)
    with pytest.raises(ValueError, match="feature set 0 with penalty 1e-30 did not reach"):
        fit(layers, labels, (1.0, 1e-30))
