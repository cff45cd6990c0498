"""Spread: clouds whose answers are known, the published steps, the slow versions, and invariances."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from layerscope.jobs.kernels.similarity.isotropy_scores import measure_spread


def gaussian(num_directions, *, num_examples=1500, width=20, seed=0):
    """A round cloud in a subspace, turned into a random position."""
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(rng.normal(size=(width, num_directions)))[0]
    return rng.normal(size=(num_examples, num_directions)) @ directions.T


@pytest.mark.parametrize("num_directions", [1, 3, 10])
def test_a_round_cloud_in_k_directions_has_rank_and_dimension_k(num_directions):
    spread = measure_spread([gaussian(num_directions)])
    # Sampled variances differ by some 4 %, which takes less than 1 % of k.
    assert spread.effective_rank_L[0] == pytest.approx(num_directions, rel=0.01)
    assert spread.participation_ratio_L[0] == pytest.approx(num_directions, rel=0.02)
    # TwoNN has a standard error of k / sqrt(N) and falls short in higher dimensions, where the density varies
    # between two neighbours (Facco et al., figure 3).
    assert spread.intrinsic_dimension_L[0] == pytest.approx(num_directions, rel=0.12)
    assert spread.isoscore_L[0] == pytest.approx((num_directions - 1) / 19, abs=0.01)


def test_a_curve_has_dimension_1_though_it_fills_many_directions():
    turns = np.sort(np.random.default_rng(0).uniform(0, 2 * np.pi, size=2000))
    waves = np.outer(turns, np.arange(1, 6))
    curve = np.column_stack([np.cos(waves), np.sin(waves)])
    spread = measure_spread([curve])
    assert spread.intrinsic_dimension_L[0] == pytest.approx(1, rel=0.1)
    assert spread.participation_ratio_L[0] > 9


def test_the_mean_cosine_is_that_of_all_pairs_and_grows_with_a_common_direction():
    cloud = gaussian(8, num_examples=60)
    shifted = cloud + 5
    mean_cosine_L = measure_spread([cloud, shifted]).mean_cosine_L
    for layer, value in zip((cloud, shifted), mean_cosine_L, strict=True):
        assert value == pytest.approx(1 - pdist(layer, "cosine").mean())
    assert abs(mean_cosine_L[0]) < 0.05 and mean_cosine_L[1] > 0.9


def test_ranks_are_those_of_numpys_singular_values():
    layer = gaussian(6, num_examples=50) * np.geomspace(1, 20, 20)
    singular = np.linalg.svd(layer - layer.mean(axis=0), compute_uv=False)
    shares = singular[singular > 1e-9] / singular.sum()
    spread = measure_spread([layer])
    assert spread.effective_rank_L[0] == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))
    assert spread.participation_ratio_L[0] == pytest.approx(
        np.square(np.square(singular).sum()) / (singular**4).sum()
    )


def test_isoscore_is_that_of_the_published_steps():
    layer = gaussian(7, num_examples=80) * np.geomspace(1, 10, 20)
    width = layer.shape[1]
    variances = np.linalg.eigvalsh(np.cov(layer.T))
    scaled = np.sqrt(width) * variances / np.linalg.norm(variances)
    defect = np.linalg.norm(scaled - 1) / np.sqrt(2 * (width - np.sqrt(width)))
    phi = (width - defect**2 * (width - np.sqrt(width))) ** 2 / width**2
    assert measure_spread([layer]).isoscore_L[0] == pytest.approx((width * phi - 1) / (width - 1))


@pytest.mark.parametrize(("num_examples", "width"), [(90, 5), (40, 60)])
def test_the_dimension_is_that_of_the_slow_version(num_examples, width):
    layer = np.random.default_rng(3).normal(size=(num_examples, width))
    distances = np.sort(squareform(pdist(layer)), axis=1)
    log_ratios = np.sort(np.log(distances[:, 2] / distances[:, 1]))
    kept = int(0.9 * num_examples)
    rises = -np.log(1 - np.arange(1, kept + 1) / num_examples)
    slope = np.linalg.lstsq(log_ratios[:kept, None], rises, rcond=None)[0][0]
    assert measure_spread([layer]).intrinsic_dimension_L[0] == pytest.approx(slope)


def test_the_variance_ratio_is_that_of_planted_centroids_and_zero_for_one_label():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2, 3], 1000)
    centres = 3 * np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    layer = centres[labels] + rng.normal(size=(4000, 2))
    # Between 2 * 9, within 2 * 1, each known to some per cent.
    assert measure_spread([layer], labels).between_within_L[0] == pytest.approx(9, rel=0.05)
    assert measure_spread([layer], np.zeros(4000)).between_within_L[0] == pytest.approx(0, abs=1e-12)
    # Shuffled labels leave (K - 1) / N.
    shuffled = measure_spread([layer], rng.permutation(labels)).between_within_L[0]
    assert shuffled == pytest.approx(3 / 4000, abs=2e-3)


def test_labels_that_are_points_have_no_variance_within():
    layer = np.array([[0.0, 1.0], [0.0, 1.0], [2.0, 0.0], [2.0, 0.0]])
    assert measure_spread([layer], [0, 0, 1, 1]).between_within_L[0] == np.inf


def test_rotation_and_scale_change_nothing_and_a_shift_only_the_cosine():
    layer, labels = gaussian(5, num_examples=200), np.arange(200) % 3
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(20, 20)))[0]
    first, turned, shifted = (measure_spread([x], labels) for x in (layer, 7 * layer @ turn, layer + 3))
    for name in vars(first):
        assert getattr(turned, name) == pytest.approx(getattr(first, name))
        if name != "mean_cosine_L":
            assert getattr(shifted, name) == pytest.approx(getattr(first, name))


def test_more_features_than_examples_give_the_same_as_their_span():
    wide = gaussian(6, num_examples=30, width=100)
    narrow = wide @ np.linalg.svd(wide, full_matrices=False)[2][:6].T
    spread = measure_spread([wide, narrow])
    for values in (spread.effective_rank_L, spread.participation_ratio_L, spread.intrinsic_dimension_L):
        assert values[0] == pytest.approx(values[1])


def test_repeated_examples_do_not_count_for_the_dimension():
    layer = gaussian(4, num_examples=200)
    repeated = np.concatenate([layer, layer, layer[:50]])
    dimension_L = measure_spread([layer, repeated]).intrinsic_dimension_L
    assert dimension_L[0] == pytest.approx(dimension_L[1])


@pytest.mark.parametrize("value", [0.0, 0.1, 12345.678])
def test_a_layer_that_is_the_same_for_all_examples_has_no_spread(value):
    spread = measure_spread([np.full((10, 4), value, dtype=np.float32)], np.arange(10) % 2)
    for name in ("effective_rank_L", "participation_ratio_L", "isoscore_L", "intrinsic_dimension_L"):
        assert np.isnan(getattr(spread, name)).all()
    assert np.isnan(spread.between_within_L).all()


def test_without_labels_there_is_no_variance_ratio():
    assert np.isnan(measure_spread([gaussian(2, num_examples=10)]).between_within_L[0])


@pytest.mark.parametrize(
    ("layer", "labels", "message"),
    [
        (np.zeros((2, 3)), None, r"3 examples or more; got \(2, 3\)"),
        (np.zeros(5), None, r"got \(5,\)"),
        (np.full((5, 2), np.nan), None, "finite"),
        (np.eye(5), [0, 1], r"5 examples need as many labels, got an array of \(2,\)"),
    ],
)
def test_what_has_no_spread_is_refused(layer, labels, message):
    with pytest.raises(ValueError, match=message):
        measure_spread([layer], labels)
