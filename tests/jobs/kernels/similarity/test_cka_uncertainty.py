"""What goes with a CKA map: reasons for gaps, errors, leverage, confounders, other kernels, batches."""

import numpy as np
import pytest

from layerscope.jobs.kernels.similarity.activations import check_paired
from layerscope.jobs.kernels.similarity.cka import cka_map, partial_cka_map, undefined_layers
from layerscope.jobs.kernels.similarity.cka_errors import cka_standard_errors
from layerscope.jobs.kernels.similarity.cka_minibatch import minibatch_cka
from layerscope.jobs.kernels.similarity.leverage import cka_without_leverage, leverage


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def related_layers(rng, *, num_examples, widths):
    signal = rng.normal(size=(num_examples, 3))
    return [
        (signal @ rng.normal(size=(3, width)) + rng.normal(size=(num_examples, width))).astype(np.float32)
        for width in widths
    ]


def test_storing_half_precision_moves_nothing_by_more_than_a_thousandth(rng):
    layers = related_layers(rng, num_examples=400, widths=[24, 32])
    expected = cka_map(layers)
    assert cka_map([layer.astype(np.float16) for layer in layers]) == pytest.approx(expected, abs=1e-3)
    bfloat16 = [(layer.view(np.uint32) & 0xFFFF0000).view(np.float32) for layer in layers]
    assert cka_map(bfloat16) == pytest.approx(expected, abs=1e-3)


def test_one_layer_shared_by_all_depths_is_similar_to_itself_everywhere(rng):
    (layer,) = related_layers(rng, num_examples=60, widths=[16])
    assert cka_map([layer] * 3) == pytest.approx(1, abs=1e-6)


def test_undefined_layers_are_told_with_their_reason(rng):
    layers = [np.full((500, 4), 0.1), *related_layers(rng, num_examples=500, widths=[8]), np.eye(500)]
    reasons = undefined_layers(layers)
    assert reasons[0] == "layer 0 is the same for all 500 examples"
    assert "equally far apart" in reasons[2] and set(reasons) == {0, 2}
    assert set(undefined_layers(layers, debiased=False)) == {0}
    assert np.isnan(cka_map(layers).diagonal()).nonzero()[0].tolist() == [0, 2]


@pytest.mark.parametrize(
    ("ids_a", "ids_b", "message"),
    [
        ("abc", "axc", "row 1 is 'b' on one side and 'x' on the other"),
        ("abc", "ab", "row 2, 'c', has no partner"),
        ("aba", "aba", "duplicate example 'a' in rows 0 and 2"),
    ],
)
def test_rows_that_are_not_paired_are_refused_by_naming_the_first(ids_a, ids_b, message):
    check_paired("abc", "abc")
    with pytest.raises(ValueError, match=message):
        check_paired(ids_a, ids_b)


def dense_rbf(layer, bandwidth):
    layer = layer.astype(np.float64)
    squares = np.square(layer[:, None] - layer).sum(axis=2)
    median = np.median(squares[np.triu_indices(len(layer), 1)])
    return np.exp(-squares / (2 * bandwidth**2 * median))


def dense_hsic(gram_a, gram_b, *, debiased):
    n = len(gram_a)
    if not debiased:
        centring = np.eye(n) - 1 / n
        return np.trace(gram_a @ centring @ gram_b @ centring)
    a, b = gram_a - np.diag(gram_a.diagonal()), gram_b - np.diag(gram_b.diagonal())
    return np.sum(a * b) + a.sum() * b.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (a.sum(0) @ b.sum(0))


@pytest.mark.parametrize("debiased", [True, False])
@pytest.mark.parametrize("bandwidth", [0.3, 1.0, 5.0])
def test_the_gaussian_kernel_agrees_with_the_dense_version(bandwidth, debiased, rng):
    layers = related_layers(rng, num_examples=90, widths=[12, 16])
    grams = [dense_rbf(layer, bandwidth) for layer in layers]
    hsic = np.array([[dense_hsic(a, b, debiased=debiased) for b in grams] for a in grams])
    expected = hsic / np.sqrt(np.outer(hsic.diagonal(), hsic.diagonal()))
    found = cka_map(layers, debiased=debiased, kernel="rbf", bandwidth=bandwidth)
    assert found == pytest.approx(expected, abs=1e-5)
    across = cka_map(layers, layers[::-1], debiased=debiased, kernel="rbf", bandwidth=bandwidth)
    assert across == pytest.approx(expected[:, ::-1], abs=1e-5)


def test_a_bandwidth_that_is_not_positive_is_refused(rng):
    with pytest.raises(ValueError, match="positive multiple"):
        cka_map([rng.normal(size=(9, 3))], kernel="rbf", bandwidth=0)


@pytest.mark.parametrize("debiased", [True, False])
@pytest.mark.parametrize("widths", [(40, 48), (6, 8)], ids=["gram_side", "feature_side"])
def test_standard_errors_are_those_of_leaving_out_each_example(widths, debiased, rng):
    """The influence function is the jackknife to first order: at 60 examples they differ by a few percent."""
    a, b = related_layers(rng, num_examples=60, widths=widths)
    left_out = np.array(
        [
            cka_map([np.delete(a, row, 0)], [np.delete(b, row, 0)], debiased=debiased)[0, 0]
            for row in range(60)
        ]
    )
    jackknife = np.sqrt(59 / 60 * np.square(left_out - left_out.mean()).sum())
    within = cka_standard_errors([a, b], debiased=debiased)
    assert cka_standard_errors([a], [b], debiased=debiased)[0, 0] == pytest.approx(jackknife, rel=0.12)
    assert within[0, 1] == within[1, 0] == pytest.approx(jackknife, rel=0.12)
    assert within.diagonal().tolist() == [0, 0]


def test_batches_estimate_the_map_and_their_bounds_hold_it(rng):
    layers = related_layers(rng, num_examples=1025, widths=[16, 24])
    found = minibatch_cka(layers, batch_size=64)
    assert found.num_batches == 16  # the example that is left joins the last batch
    exact = cka_map(layers)[0, 1]
    assert found.similarity[0, 1] == pytest.approx(exact, abs=0.02)
    assert found.low[0, 1] < found.similarity[0, 1] < found.high[0, 1] < found.low[0, 1] + 0.1
    assert minibatch_cka(layers, batch_size=64).low[0, 1] == found.low[0, 1]
    across = minibatch_cka(layers[:1], layers[1:], batch_size=64)
    assert across.similarity[0, 0] == pytest.approx(found.similarity[0, 1], abs=1e-6)
    single = minibatch_cka(layers, batch_size=2000)
    assert single.similarity == pytest.approx(cka_map(layers), abs=1e-6) and np.isnan(single.low).all()


def test_an_outlier_is_seen_and_the_map_without_it_is_that_of_the_others(rng):
    a, b = (rng.normal(size=(200, 8)) for _ in range(2))
    a[17, 0] = b[17, 0] = 200
    assert cka_map([a], [b], debiased=False)[0, 0] > 0.9
    found = leverage([a, np.ones((200, 3))])
    assert found.largest[0] > 0.9 and found.largest[0] < found.top[0] <= 1 and np.isnan(found.top[1])
    rest = cka_without_leverage([a], [b], fraction=0.005)
    assert rest == pytest.approx(cka_map([np.delete(a, 17, 0)], [np.delete(b, 17, 0)]), abs=1e-6)
    assert abs(rest[0, 0]) < 0.1


def test_layers_alike_only_through_their_inputs_lose_it_all_and_others_keep_theirs(rng):
    inputs, shared = rng.normal(size=(2, 300, 6))
    noise = rng.normal(size=(4, 300, 6))
    alone = [inputs + noise[0], inputs + noise[1]]
    beside = [inputs + shared + noise[2], inputs + shared + noise[3]]
    assert cka_map(alone)[0, 1] > 0.15
    assert abs(partial_cka_map(alone, confounder=inputs)[0, 1]) < 0.03
    assert partial_cka_map(beside, confounder=inputs)[0, 1] > 0.1
    assert np.isnan(partial_cka_map([inputs, shared], confounder=inputs)[0]).all()
