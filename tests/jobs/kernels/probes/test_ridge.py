"""Ridge heads: the closed form against fits without each example, and what is planted against noise."""

import numpy as np
import pytest

from layerscope.jobs.kernels.probes.ridge import ridge_heads

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)


def layers(num_examples, *, seed, width=6):
    """Noise, and states of which the first says the number; neither is centred or of unit scale."""
    random = np.random.default_rng(seed)
    numbers_N = random.normal(size=num_examples) + 2
    noise = (3 + random.normal(size=(num_examples, width))).astype(np.float32)
    told = (5 + 4 * random.normal(size=(num_examples, width))).astype(np.float32)
    told[:, 0] = 7 * numbers_N + random.normal(size=num_examples)
    return [noise, told], numbers_N


def solved(layer_ND, numbers_N, penalty):
    """Weights and intercept by the normal equations, features in units of the whole layer's deviations."""
    scale_D = 1 / layer_ND.std(axis=0, dtype=np.float64)
    mean_D = layer_ND.mean(axis=0, dtype=np.float64)
    centred_ND = (layer_ND - mean_D) * scale_D
    gram_DD = centred_ND.T @ centred_ND / len(numbers_N) + penalty * np.eye(centred_ND.shape[1])
    weight_D = scale_D * np.linalg.solve(
        gram_DD, centred_ND.T @ (numbers_N - numbers_N.mean()) / len(numbers_N)
    )
    return weight_D, numbers_N.mean() - mean_D @ weight_D


def test_heads_solve_the_normal_equations():
    train, numbers_N = layers(40, seed=0)
    heads = ridge_heads(train, numbers_N, penalties=(0.3,))
    for layer, layer_ND in enumerate(train):
        weight_D, bias = solved(layer_ND, numbers_N, 0.3)
        # The heads are float32.
        np.testing.assert_allclose(heads.weight_LKD[layer, 0], weight_D, rtol=1e-5, atol=1e-7)
        assert heads.bias_LK[layer, 0] == pytest.approx(bias, rel=1e-5)
    assert heads.penalty_L.tolist() == [0.3, 0.3]


def without_one(centred_ND, numbers_N, row, penalty):
    """The number that ridge with an intercept predicts of a row from all others, by brute force."""
    rows = np.delete(np.arange(len(numbers_N)), row)
    design = np.column_stack([np.ones(len(rows)), centred_ND[rows]])
    damping = len(numbers_N) * penalty * np.diag([0.0] + [1.0] * centred_ND.shape[1])
    found = np.linalg.solve(design.T @ design + damping, design.T @ numbers_N[rows])
    return found[0] + centred_ND[row] @ found[1:]


@pytest.mark.parametrize("seed", range(4))
def test_the_penalty_predicts_examples_best_that_were_left_out(seed):
    train, numbers_N = layers(15, seed=seed)
    heads = ridge_heads(train, numbers_N, penalties=PENALTIES)
    for layer, layer_ND in enumerate(train):
        states_ND = layer_ND.astype(np.float64)
        centred_ND = (states_ND - states_ND.mean(axis=0)) / states_ND.std(axis=0)
        errors = [
            np.mean(
                [(without_one(centred_ND, numbers_N, row, one) - numbers_N[row]) ** 2 for row in range(15)]
            )
            for one in PENALTIES
        ]
        assert heads.penalty_L[layer] == PENALTIES[int(np.argmin(errors))]


def test_a_planted_number_is_predicted_and_noise_predicts_nothing():
    (train, numbers_N), (test, expected_N) = layers(300, seed=0), layers(300, seed=1)
    heads = ridge_heads(train, numbers_N, penalties=PENALTIES)
    noise, told = (np.corrcoef(logits_N1[:, 0], expected_N)[0, 1] for logits_N1 in heads.logits(test))
    assert told > 0.95
    # Correlations of 300 unrelated numbers exceed 0.19 once in a thousand times.
    assert abs(noise) < 0.19
    assert heads.penalty_L[0] > heads.penalty_L[1]


def test_more_features_than_examples_are_fitted():
    train, numbers_N = layers(12, seed=0, width=40)
    heads = ridge_heads(train, numbers_N, penalties=(0.1,))
    weight_D, _ = solved(train[1], numbers_N, 0.1)
    np.testing.assert_allclose(heads.weight_LKD[1, 0], weight_D, rtol=1e-4, atol=1e-7)


def test_a_layer_that_does_not_vary_predicts_the_mean():
    _, numbers_N = layers(30, seed=0)
    heads = ridge_heads([np.full((30, 4), 3.25, np.float32)], numbers_N, penalties=PENALTIES)
    assert not heads.weight_LKD.any()
    assert heads.bias_LK[0, 0] == pytest.approx(numbers_N.mean())


@pytest.mark.parametrize(
    ("numbers", "penalties", "fault"),
    [
        ([1.0, 2.0], PENALTIES, "train layer 0 has shape"),
        ([1.0, float("nan"), 2.0, 3.0], PENALTIES, "3 or more finite examples"),
        ([1.0, 2.0, 3.0, 4.0], (0.0,), "penalties must be one or more positive numbers"),
    ],
)
def test_what_cannot_be_fitted_is_refused(numbers, penalties, fault):
    train, _ = layers(4, seed=0)
    with pytest.raises(ValueError, match=fault):
        ridge_heads(train, numbers, penalties=penalties)
