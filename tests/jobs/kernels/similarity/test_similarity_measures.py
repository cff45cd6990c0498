"""Other measures of similarity: identity, what they ignore, and what they give to unrelated layers."""

import numpy as np
import pytest

from layerscope.jobs.kernels.similarity.similarity_measures import similarity_map

MEASURES = ["cka", "procrustes", "svcca", "pwcca", "rsa", "mutual_knn"]


@pytest.fixture
def layers():
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(150, 3))
    return [signal @ rng.normal(size=(3, width)) + rng.normal(size=(150, width)) for width in (8, 10)]


def rotation(width):
    return np.linalg.qr(np.random.default_rng(1).normal(size=(width, width)))[0]


@pytest.mark.parametrize("measure", MEASURES)
def test_a_layer_is_wholly_similar_to_itself_and_less_to_another(layers, measure):
    similarity = similarity_map(layers, measure=measure)
    assert similarity.diagonal() == pytest.approx(1, abs=1e-6)
    assert 0 < similarity[0, 1] < 0.95


@pytest.mark.parametrize("measure", MEASURES)
def test_rotation_shift_and_scale_change_nothing(layers, measure):
    moved = [0.01 * layer @ rotation(layer.shape[1]) + 2 for layer in layers]
    # One pair of examples in a near tie may change places with float32 rounding: 1 / (150 * 10) of the kNN.
    tolerance = 1e-3 if measure == "mutual_knn" else 1e-5
    expected = similarity_map(layers, measure=measure)
    assert similarity_map(moved, measure=measure) == pytest.approx(expected, abs=tolerance)
    assert similarity_map(moved, layers, measure=measure) == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("measure", [measure for measure in MEASURES if measure != "pwcca"])
def test_the_order_of_the_two_layers_does_not_matter(layers, measure):
    similarity = similarity_map(layers[:1], layers[1:], measure)
    # Products of CKA are float32: each rounds to 6e-8 of itself, and transposed they may be summed in another
    # order (MKL's AVX2 kernels do); a quotient of sums of their squares keeps twice that at worst.
    tolerance = 1.2e-7 if measure == "cka" else 1e-9
    assert similarity == pytest.approx(similarity_map(layers[1:], layers[:1], measure), abs=tolerance)


def test_pwcca_ignores_every_invertible_map_of_the_second_layer(layers):
    a, b = layers
    mixed = b @ np.random.default_rng(2).normal(size=(10, 10))
    expected = similarity_map([a], [b], "pwcca")
    assert similarity_map([a], [mixed], "pwcca") == pytest.approx(expected, abs=1e-5)
    assert similarity_map([mixed], [a], "pwcca") != pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(("measure", "expected"), [("cka", 0), ("rsa", 0), ("mutual_knn", 10 / 149)])
def test_unrelated_layers_are_at_their_chance_level(measure, expected):
    a, b = np.random.default_rng(3).normal(size=(2, 150, 8))
    assert similarity_map([a], [b], measure)[0, 0] == pytest.approx(expected, abs=0.04)


def test_procrustes_is_one_less_half_the_distance_after_the_best_rotation(layers):
    from scipy.linalg import orthogonal_procrustes

    a, b = (layer - layer.mean(axis=0) for layer in layers)
    a = np.pad(a, ((0, 0), (0, 2)))
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    turn, _ = orthogonal_procrustes(a, b)
    distance = np.square(a @ turn - b).sum()
    assert similarity_map(layers, measure="procrustes")[0, 1] == pytest.approx(1 - distance / 2, abs=1e-6)


def test_rsa_is_the_rank_correlation_of_distances(layers):
    from scipy.spatial.distance import pdist
    from scipy.stats import spearmanr

    expected = spearmanr(*(pdist(layer) for layer in layers)).statistic
    assert similarity_map(layers, measure="rsa")[0, 1] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_constant_layer_has_no_similarity(layers, measure):
    similarity = similarity_map([layers[0], np.full((150, 4), 0.3)], layers, measure)
    assert np.isfinite(similarity).tolist() == [[True, True], [False, False]]


@pytest.mark.parametrize("measure", ["svcca", "pwcca"])
def test_canonical_correlation_is_refused_where_it_is_always_perfect(measure):
    a, b = np.random.default_rng(0).normal(size=(2, 20, 30))
    with pytest.raises(ValueError, match="more examples than directions of both layers: 20 examples"):
        similarity_map([a], [b], measure)


def test_an_unknown_measure_is_refused_by_naming_those_there_are(layers):
    with pytest.raises(ValueError, match="'cca' does not exist: there is cka, procrustes"):
        similarity_map(layers, measure="cca")
