"""CKA: its invariances, the dense float64 version, and what may not be found."""

import numpy as np
import pytest

from layerscope.jobs.kernels.similarity.cka import cka_floor, cka_map


def dense_cka(layer_a, layer_b, *, debiased):
    """Slow and obvious: Gram matrices in float64; Song et al. 2012, equation 5, for the debiased estimate."""
    hsic = dense_hsic_1 if debiased else dense_hsic_0
    gram_a, gram_b = (centred_gram(layer) for layer in (layer_a, layer_b))
    return hsic(gram_a, gram_b) / np.sqrt(hsic(gram_a, gram_a) * hsic(gram_b, gram_b))


def centred_gram(layer):
    layer = np.asarray(layer, dtype=np.float64)
    layer = layer - layer.mean(axis=0)
    return layer @ layer.T


def dense_hsic_0(gram_a, gram_b):
    n = len(gram_a)
    centring = np.eye(n) - 1 / n
    return np.trace(gram_a @ centring @ gram_b @ centring) / (n - 1) ** 2


def dense_hsic_1(gram_a, gram_b):
    n = len(gram_a)
    hollow_a, hollow_b = gram_a - np.diag(np.diag(gram_a)), gram_b - np.diag(np.diag(gram_b))
    ones = np.ones(n)
    return (
        np.trace(hollow_a @ hollow_b)
        + (ones @ hollow_a @ ones) * (ones @ hollow_b @ ones) / ((n - 1) * (n - 2))
        - 2 / (n - 2) * (ones @ hollow_a @ hollow_b @ ones)
    ) / (n * (n - 3))


def dense_map(layers_a, layers_b, *, debiased):
    return np.array([[dense_cka(a, b, debiased=debiased) for b in layers_b] for a in layers_a])


def related_layers(rng, *, num_examples, widths, dtype=np.float32):
    """Layers that share a signal of three directions, each with noise of its own and a decaying spectrum."""
    signal = rng.normal(size=(num_examples, 3))
    return [
        (
            signal @ rng.normal(size=(3, width))
            + rng.normal(size=(num_examples, width)) / np.sqrt(1 + np.arange(width))
        ).astype(dtype)
        for width in widths
    ]


def rotation(rng, width):
    return np.linalg.qr(rng.normal(size=(width, width)))[0]


BOTH_ESTIMATES = pytest.mark.parametrize("debiased", [True, False])
# 40 examples take the Gram side, 300 the feature side.
BOTH_SIDES = pytest.mark.parametrize("num_examples", [40, 300])


@BOTH_ESTIMATES
@BOTH_SIDES
def test_a_layer_is_wholly_similar_to_itself(debiased, num_examples, rng):
    layers = related_layers(rng, num_examples=num_examples, widths=[24, 32])
    assert np.diag(cka_map(layers, debiased=debiased)) == pytest.approx(1, abs=1e-6)
    assert np.diag(cka_map(layers, [layer.copy() for layer in layers], debiased=debiased)) == pytest.approx(
        1, abs=1e-6
    )


@BOTH_ESTIMATES
@BOTH_SIDES
def test_rotation_shift_and_scale_change_nothing(debiased, num_examples, rng):
    layers = related_layers(rng, num_examples=num_examples, widths=[24, 32], dtype=np.float64)
    moved = [1e-4 * layer @ rotation(rng, layer.shape[1]) + 3.0 for layer in layers]
    # Inputs are float64, so what may differ is float32 rounding in the products only.
    expected = cka_map(layers, debiased=debiased)
    assert cka_map(moved, debiased=debiased) == pytest.approx(expected, abs=1e-6)
    assert cka_map(moved, layers, debiased=debiased) == pytest.approx(expected, abs=1e-6)


def test_stretching_one_direction_does_change_the_similarity(rng):
    (layer,) = related_layers(rng, num_examples=100, widths=[16])
    stretched = layer * np.where(np.arange(16) == 5, 30, 1)
    assert cka_map([layer], [stretched])[0, 0] < 0.7


@BOTH_ESTIMATES
@BOTH_SIDES
def test_a_map_within_one_model_is_symmetric_and_equals_the_map_of_two_copies(debiased, num_examples, rng):
    layers = related_layers(rng, num_examples=num_examples, widths=[24, 32, 16])
    within = cka_map(layers, debiased=debiased)
    assert (within == within.T).all()
    assert within == pytest.approx(cka_map(layers, list(layers), debiased=debiased), abs=1e-6)


@BOTH_ESTIMATES
@BOTH_SIDES
@pytest.mark.parametrize("kappa", [0, 1, 1e2, 1e4, 1e6, 1e12])
def test_float32_agrees_with_dense_float64_however_large_the_mean(debiased, num_examples, kappa, rng):
    """Kappa is |mean|^2 / tr(covariance). Both sides read the same float32 values; at 1e12 their mean is a
    million times their spread, and float64 still tells them apart."""
    layers = related_layers(rng, num_examples=num_examples, widths=[24, 40, 32, 24, 24])
    layers = [add_mean(rng, layer, kappa) for layer in layers]
    layers_a, layers_b = layers[:2], layers[2:]
    expected = dense_map(layers_a, layers_b, debiased=debiased)
    assert np.ptp(expected) > 0.01
    assert cka_map(layers_a, layers_b, debiased=debiased) == pytest.approx(expected, abs=1e-5)
    assert cka_map(layers_a, debiased=debiased) == pytest.approx(
        dense_map(layers_a, layers_a, debiased=debiased), abs=1e-5
    )


def add_mean(rng, layer, kappa):
    mean = rng.normal(size=layer.shape[1])
    mean *= np.sqrt(kappa * layer.var(axis=0).sum()) / np.linalg.norm(mean)
    return (layer + mean).astype(np.float32)


def test_many_tiles_give_what_one_gives(monkeypatch, rng):
    layers = related_layers(rng, num_examples=50, widths=[64, 96])
    expected = cka_map(layers)
    monkeypatch.setattr("layerscope.jobs.kernels.similarity.gram_products.BAND", 28)
    monkeypatch.setattr("layerscope.jobs.kernels.similarity.gram_products.TILE", 7)
    assert cka_map(layers) == pytest.approx(expected, abs=1e-7)


def test_the_debiased_estimate_finds_nothing_where_the_biased_one_finds_much(rng):
    """Independent noise, 200 examples of 768 features: d / (n + d) = .79 of bias."""
    a, b = rng.normal(size=(2, 200, 768)).astype(np.float32)
    assert cka_map([a], [b])[0, 0] == pytest.approx(0, abs=0.03)
    assert cka_map([a], [b], debiased=False)[0, 0] == pytest.approx(0.79, abs=0.02)
    assert cka_floor([a], [b])[0, 0] == pytest.approx(0.79, abs=0.02)


def test_a_shared_signal_is_found_and_is_gone_once_the_rows_of_one_side_are_permuted(rng):
    a, b = related_layers(rng, num_examples=300, widths=[64, 48])
    assert cka_map([a], [b])[0, 0] > 0.4
    assert abs(cka_map([a], [b[rng.permutation(300)]])[0, 0]) < 0.05


def test_the_floor_is_the_mean_of_the_biased_map_over_permutations(rng):
    layers = related_layers(rng, num_examples=60, widths=[24, 48])
    shuffled = np.mean(
        [
            cka_map(layers, [layer[rng.permutation(60)] for layer in layers], debiased=False)
            for _ in range(200)
        ],
        axis=0,
    )
    # The standard error over 200 permutations is below 0.002 here.
    assert cka_floor(layers) == pytest.approx(shuffled, abs=0.006)


CONSTANT_LAYERS = {
    "zero": np.zeros((50, 8), dtype=np.float32),
    "exact": np.full((50, 8), 0.1, dtype=np.float32),
    "one_row": np.tile(np.linspace(-3, 7, 8), (50, 1)),
    "last_bit_flips": np.where(
        np.arange(400).reshape(50, 8) % 3, np.float32(0.1), np.nextafter(np.float32(0.1), np.float32(1))
    ),
    "float16_bit_flips": np.where(
        np.arange(400).reshape(50, 8) % 3, np.float16(0.1), np.nextafter(np.float16(0.1), np.float16(1))
    ),
}


@BOTH_ESTIMATES
@pytest.mark.parametrize("constant", CONSTANT_LAYERS.values(), ids=CONSTANT_LAYERS.keys())
def test_a_constant_layer_has_no_similarity_and_leaves_the_others_theirs(debiased, constant, rng):
    other, another = related_layers(rng, num_examples=50, widths=[16, 16])
    similarity = cka_map([other, constant, another], debiased=debiased)
    assert np.isnan(similarity[1]).all() and np.isnan(similarity[:, 1]).all()
    assert similarity[np.ix_([0, 2], [0, 2])] == pytest.approx(cka_map([other, another], debiased=debiased))
    floor = cka_floor([other, constant, another])
    assert np.isnan(floor[1]).all() and np.isnan(floor[:, 1]).all() and np.isfinite(floor[0, 2])


@pytest.mark.parametrize(
    "layer", [np.eye(50), np.eye(50)[:, :1]], ids=["equally_far_apart", "one_row_differs"]
)
def test_the_debiased_estimate_is_undefined_where_its_norm_cancels(layer, rng):
    (other,) = related_layers(rng, num_examples=50, widths=[16])
    assert np.isnan(cka_map([layer], [other])[0, 0])
    assert np.isfinite(cka_map([layer], [other], debiased=False)[0, 0])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_float_type_is_taken_read_only_and_left_as_it_was(dtype, rng):
    layers = related_layers(rng, num_examples=40, widths=[16, 24], dtype=dtype)
    before = [layer.copy() for layer in layers]
    for layer in layers:
        layer.setflags(write=False)
    similarity = cka_map(layers, layers[::-1])
    assert similarity.dtype == np.float64 and similarity.shape == (2, 2)
    assert similarity == pytest.approx(dense_map(layers, layers[::-1], debiased=True), abs=1e-5)
    assert all((layer == old).all() for layer, old in zip(layers, before, strict=True))


def test_tiny_and_huge_values_neither_vanish_nor_overflow(rng):
    layers = related_layers(rng, num_examples=40, widths=[16, 24])
    expected = cka_map(layers)
    assert cka_map([layers[0] * np.float32(1e-30), layers[1] * np.float32(1e30)]) == pytest.approx(
        expected, abs=1e-6
    )


def test_an_unknown_kernel_is_refused_by_naming_those_there_are():
    with pytest.raises(ValueError, match="'poly' does not exist: there is linear, rbf"):
        cka_map([np.eye(5)], kernel="poly")


def test_different_numbers_of_examples_are_refused_by_naming_both():
    with pytest.raises(ValueError, match=r"layers_b\[0\] has 6 examples and layers_a\[0\] has 5"):
        cka_map([np.eye(5)], [np.eye(6)])


def test_the_debiased_estimate_is_refused_below_four_examples(rng):
    layers = [rng.normal(size=(3, 4))]
    with pytest.raises(ValueError, match="at least 4 examples, got 3"):
        cka_map(layers)
    assert cka_map(layers, debiased=False)[0, 0] == pytest.approx(1)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([], "at least one layer"),
        ([np.ones(5)], r"must be \(examples, features\)"),
        ([np.ones((1, 5))], "2 examples or more"),
        ([np.full((5, 2), np.nan)], r"layers_a\[0\] has values that are not finite"),
        ([np.eye(5), np.diag([1, 2, np.inf, 3, 4])], r"layers_a\[1\] has values that are not finite"),
    ],
)
def test_what_is_no_layer_is_refused(layers, message):
    with pytest.raises(ValueError, match=message):
        cka_map(layers)


@pytest.fixture
def rng():
    return np.random.default_rng(0)
