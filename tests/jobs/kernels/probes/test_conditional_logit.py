"""Conditional logit: the minimum that a general solver finds, and what is planted against noise."""

import numpy as np
import pytest
from scipy.optimize import minimize

from layerscope.jobs.kernels.probes.conditional_logit import choice_heads

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)


def layers(num_questions, *, seed, num_choices=4, width=5):
    """Noise, and states of which the first is higher for the right choice."""
    random = np.random.default_rng(seed)
    right_Q = random.integers(num_choices, size=num_questions)
    noise, told = 2 + 3 * random.normal(size=(2, num_questions, num_choices, width))
    told[np.arange(num_questions), right_Q, 0] += 12
    return [layer.reshape(-1, width).astype(np.float32) for layer in (noise, told)], right_Q


def accuracies(heads, test, right_Q, num_choices=4):
    logits_LQC = heads.logits(test).reshape(len(test), -1, num_choices)
    return (logits_LQC.argmax(axis=2) == right_Q).mean(axis=1)


@pytest.mark.parametrize("penalty", [1e-3, 1e-1, 10.0])
def test_heads_are_the_minimum_that_a_general_solver_finds(penalty):
    train, right_Q = layers(40, seed=0)
    heads = choice_heads(train, right_Q, num_choices=4, penalties=(penalty,), seed=0)
    for layer, layer_ND in enumerate(train):
        states_ND = layer_ND.astype(np.float64)
        features_QCD = ((states_ND - states_ND.mean(axis=0)) / states_ND.std(axis=0)).reshape(40, 4, -1)

        def objective(weight_D, features_QCD=features_QCD):
            chances = np.exp(features_QCD @ weight_D)
            chances = chances[np.arange(40), right_Q] / chances.sum(axis=1)
            return -np.log(chances).mean() + penalty / 2 * np.sum(weight_D**2)

        best = minimize(objective, np.zeros(5), method="BFGS", options={"gtol": 1e-8})
        found = objective(heads.weight_LKD[layer, 0] * states_ND.std(axis=0))
        assert found == pytest.approx(best.fun, rel=2e-5)
    assert not heads.bias_LK.any()


def test_the_right_choice_is_found_where_it_is_planted_and_guessed_where_it_is_not():
    (train, right_Q), (test, expected_Q) = layers(300, seed=0), layers(300, seed=1)
    heads = choice_heads(train, right_Q, num_choices=4, penalties=PENALTIES, seed=0)
    noise, told = accuracies(heads, test, expected_Q)
    assert told > 0.9
    # 300 guesses of one in four are right in more than 33 % once in a thousand times.
    assert noise < 0.33
    assert heads.penalty_L[0] > heads.penalty_L[1]


def test_a_state_that_all_choices_of_a_question_share_tells_nothing():
    """As where a layer has not looked at the choices yet: all chances stay equal."""
    _, right_Q = layers(30, seed=0)
    shared = np.repeat(np.random.default_rng(0).normal(size=(30, 1, 5)), 4, axis=1).reshape(-1, 5)
    heads = choice_heads([shared], right_Q, num_choices=4, penalties=(0.1,), seed=0)
    assert np.abs(heads.weight_LKD).max() < 1e-9


def test_the_order_of_questions_and_choices_changes_nothing():
    train, right_Q = layers(30, seed=0)
    turned = [layer.reshape(30, 4, -1)[::-1, ::-1].reshape(-1, 5) for layer in train]
    one, other = (
        choice_heads(of, rights, num_choices=4, penalties=(0.1,), seed=0)
        for of, rights in ((train, right_Q), (turned, 3 - right_Q[::-1]))
    )
    # Sums in another order, stored as float32.
    np.testing.assert_allclose(one.weight_LKD, other.weight_LKD, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("questions", "changes", "fault"),
    [
        (2, {}, "2 questions are too few for a held-out part"),
        (8, {"num_choices": 3}, "train layer 0 has shape"),
        (8, {"penalties": ()}, "penalties must be one or more positive numbers"),
        (8, {"rights": [4] * 8}, "right choices must lie in 0 to 3"),
    ],
)
def test_what_cannot_be_fitted_is_refused(questions, changes, fault):
    train, right_Q = layers(questions, seed=0)
    fields = {"rights": right_Q, "num_choices": 4, "penalties": PENALTIES, "seed": 0} | changes
    with pytest.raises(ValueError, match=fault):
        choice_heads(train, **fields)
