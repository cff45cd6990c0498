"""Divergence: scipy as the slow version, bounds that cover, planted moves, and what is refused."""

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import pdist, squareform

from layerscope.jobs.kernels.directprobe.divergence import (
    centroids,
    change_of,
    closest_labels,
    compare_distances,
    follow_centroids,
    nearest_distances,
    path_lengths,
    shift_centroids,
    shift_plane,
)


def distances(noise=0.0, *, num_labels=12, seed=0):
    """Distances of labels in space, and of the same labels moved by noise."""
    rng = np.random.default_rng(seed)
    places = rng.normal(size=(num_labels, 5))
    moved = places + noise * rng.normal(size=places.shape)
    return squareform(pdist(places)), squareform(pdist(moved))


def test_correlations_are_those_of_scipy_over_all_pairs():
    a, b = distances(noise=0.5)
    pairs = np.triu_indices(12, k=1)
    found = compare_distances(a, b, seed=0)
    assert found.mean == pytest.approx(stats.pearsonr(a[pairs], b[pairs]).statistic)
    assert found.low < found.mean < found.high


def test_the_same_geometry_correlates_fully_and_an_unrelated_one_not():
    a, _ = distances()
    assert compare_distances(a, 3 * a + 1 - np.eye(12), seed=0).low == pytest.approx(1)
    unrelated = compare_distances(a, distances(seed=1)[0], seed=0)
    assert unrelated.low < 0 < unrelated.high


def test_a_pair_of_labels_counts_as_often_as_both_are_drawn():
    """Weights stand for copies: scipy on the copies is the slow version."""
    a, b = distances(noise=0.5, num_labels=7)
    first, second = np.triu_indices(7, k=1)
    drawn = np.random.default_rng(4).multinomial(7, np.full(7, 1 / 7), size=50)
    copies = (np.repeat(np.arange(21), draw[first] * draw[second]) for draw in drawn)
    resampled = [
        stats.pearsonr(a[first, second][rows], b[first, second][rows]).statistic
        for rows in copies
        if len(set(rows)) > 1
    ]
    found = compare_distances(a, b, num_resamples=50, seed=4)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(resampled, [0.025, 0.975])))


def test_bounds_over_labels_are_wider_than_over_pairs_where_one_label_moved():
    """One label far away: its 11 pairs carry the correlation together, or are gone together."""
    a, b = distances(noise=1.0)
    a[0, 1:] = a[1:, 0] = b[0, 1:] = b[1:, 0] = 30 + np.arange(11)
    by_labels = compare_distances(a, b, seed=0)
    pairs = np.triu_indices(12, k=1)
    by_pairs = stats.bootstrap(
        (a[pairs], b[pairs]),
        lambda x, y, axis: stats.pearsonr(x, y, axis=axis).statistic,
        paired=True,
        n_resamples=500,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    assert by_labels.high - by_labels.low > 5 * (by_pairs.high - by_pairs.low)


def test_the_seed_settles_the_bounds():
    a, b = distances(noise=0.5)
    assert compare_distances(a, b, seed=3) == compare_distances(a, b, seed=3)
    assert compare_distances(a, b, seed=3) != compare_distances(a, b, seed=4)


def test_unknown_pairs_are_left_out():
    a, b = distances(noise=0.5)
    pairs = np.triu_indices(12, k=1)
    a[0, 5] = a[5, 0] = np.nan
    b[2, 3] = b[3, 2] = np.nan
    known = np.isfinite(a[pairs] + b[pairs])
    expected = stats.pearsonr(a[pairs][known], b[pairs][known]).statistic
    assert compare_distances(a, b, seed=0).mean == pytest.approx(expected)


def test_few_labels_have_a_correlation_without_bounds():
    found = compare_distances(*distances(noise=0.1, num_labels=5), seed=0)
    assert found.mean > 0.5 and np.isnan([found.low, found.high]).all()


def test_distances_that_are_all_the_same_have_no_correlation():
    a, _ = distances()
    found = compare_distances(a, np.full((12, 12), 0.1), seed=0)
    assert np.isnan([found.mean, found.low, found.high]).all()


def test_the_nearest_distance_passes_over_the_label_itself_and_unknown_pairs():
    a = np.array([[0.0, 3.0, 1.0], [3.0, 0.0, np.nan], [1.0, np.nan, 0.0]])
    assert nearest_distances(a).tolist() == [1.0, 3.0, 1.0]
    assert nearest_distances(np.stack([a, 2 * a])).tolist() == [[1.0, 3.0, 1.0], [2.0, 6.0, 2.0]]
    assert np.isnan(nearest_distances(np.zeros((1, 1)))).all()


def test_labels_that_rose_and_fell_are_counted_and_unknown_ones_are_not():
    change = change_of(np.array([1.0, 2.0, 3.0, np.nan, 5.0]), np.array([2.0, 1.0, 5.0, 1.0, 5.0]))
    assert (change.num_rising, change.num_falling, change.mean) == (2, 1, 0.5)
    with pytest.raises(ValueError, match="no label has a distance"):
        change_of(np.array([np.nan]), np.array([1.0]))


def test_a_planted_move_of_one_label_is_its_shift_and_nobody_elses():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    before = rng.normal(size=(60, 4)).astype(np.float32)
    after = before + np.where(labels[:, None] == 1, np.float32([3, 4, 0, 0]), 0)
    shift = shift_centroids(before, after, labels, num_labels=4)
    # float32 states of size 1 to 5 are rounded at 1e-7.
    assert shift.vector_KD[1] == pytest.approx([3, 4, 0, 0], abs=1e-6)
    assert shift.norm_K[:3] == pytest.approx([0, 5, 0], abs=1e-6)
    assert np.isnan(shift.norm_K[3])


def test_centroids_are_the_means_of_each_label():
    rng = np.random.default_rng(0)
    states, labels = rng.normal(size=(50, 3)), rng.integers(4, size=50)
    expected = [states[labels == label].mean(axis=0) for label in range(4)]
    assert centroids(states, labels, num_labels=4) == pytest.approx(np.array(expected))


def test_paths_lie_in_one_plane_where_a_resting_label_rests_and_a_moving_one_moves_straight():
    labels = np.repeat([0, 1], 20)
    rest = np.random.default_rng(0).normal(size=(40, 6))
    direction = np.array([0, 0, -10.0, 0, 0, 0])
    steps = [rest + step * (labels[:, None] == 1) * direction for step in range(4)]
    paths = follow_centroids(steps, labels, num_labels=2)
    assert paths.position_TKC[:, 0] == pytest.approx(np.tile(paths.position_TKC[0, 0], (4, 1)))
    moves = np.diff(paths.position_TKC[:, 1], axis=0)
    # The first component is the move but for the noise, so three equal moves of nearly 10; its largest
    # loading, on feature 2, is positive, and the move is against it.
    assert moves == pytest.approx(np.tile(moves[0], (3, 1)))
    assert moves[0, 0] == pytest.approx(-10, abs=0.1)
    assert paths.share_C[0] > 0.8 and paths.share_C.sum() < 1


def test_positions_keep_distances_when_all_components_are_kept():
    rng = np.random.default_rng(0)
    steps, labels = [rng.normal(size=(30, 3)) for _ in range(2)], np.arange(30) % 5
    paths = follow_centroids(steps, labels, num_labels=5, num_components=3)
    for step, positions in zip(steps, paths.position_TKC, strict=True):
        assert pdist(positions) == pytest.approx(pdist(centroids(step, labels, num_labels=5)))
    assert paths.share_C.sum() == pytest.approx(1)


def test_states_that_are_all_the_same_but_for_rounding_have_no_plane():
    same = np.full((20, 3), 7, dtype=np.float32)
    off = same.copy()
    off[::2] = np.nextafter(off[::2], np.float32(8))
    assert np.isnan(follow_centroids([same, off], np.zeros(20, int), num_labels=1).share_C).all()
    apart = same + np.float32(1e-3) * np.arange(20, dtype=np.float32)[:, None]
    found = follow_centroids([same, apart], np.zeros(20, int), num_labels=1)
    assert found.share_C == pytest.approx([1, 0], abs=1e-6)


def test_a_path_is_as_long_as_its_steps():
    there_and_back = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]])
    resting, unknown = np.ones((3, 2)), np.full((3, 2), np.nan)
    lengths = path_lengths(np.stack([there_and_back, resting, unknown], axis=1))
    assert lengths == pytest.approx([10, 0, np.nan], nan_ok=True)


def test_the_closest_labels_are_the_closest_pair_and_who_joins_it():
    # On a line: 4 and 1 are the closest pair, 0 lies nearer to both together than 3, and 2 is not known.
    places = np.array([2.0, 0.0, np.nan, -3.0, 0.5])[:, None]
    assert closest_labels(places, num_closest=2) == [1, 4]
    assert closest_labels(places, num_closest=3) == [0, 1, 4]
    assert closest_labels(places, num_closest=4) == closest_labels(places, num_closest=9) == [0, 1, 3, 4]


SQUARE = np.ones((3, 3)) - np.eye(3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: compare_distances(SQUARE, np.ones((4, 4)), seed=0), "the same labels, got 3 and 4"),
        (lambda: compare_distances(np.triu(SQUARE), SQUARE, seed=0), "distances_a must be a symmetric"),
        (lambda: compare_distances(SQUARE, np.ones(3), seed=0), "distances_b must be a symmetric"),
        (lambda: nearest_distances(np.ones((2, 3))), r"got \(2, 3\)"),
        (lambda: centroids(np.ones((3, 2)), [0, 1], num_labels=2), "with a label each"),
        (lambda: centroids(np.ones((2, 2)), [0, 2], num_labels=2), "must lie in 0 to 1"),
        (lambda: centroids(np.full((1, 2), np.nan), [0], num_labels=1), "not finite"),
        (lambda: shift_centroids(np.ones((2, 2)), np.ones((2, 3)), [0, 1], num_labels=2), "one shape"),
        (lambda: follow_centroids([], [0], num_labels=1), "one step or more"),
        (lambda: follow_centroids([np.ones((2, 2))], [0, 1], num_labels=2, num_components=3), "1 to 2"),
    ],
)
def test_what_cannot_be_compared_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_too_few_known_pairs_have_no_correlation():
    a, b = distances(noise=0.5)
    a[3:], a[:, 3:] = np.nan, np.nan
    a[1, 2] = a[2, 1] = np.nan  # Two pairs are left, over which any correlation is 1 or -1.
    found = compare_distances(a, b, seed=0)
    assert np.isnan([found.mean, found.low, found.high]).all()


def test_shifts_within_a_plane_keep_their_distances_there():
    rng = np.random.default_rng(0)
    in_plane = rng.normal(size=(9, 2))
    directions = np.linalg.qr(rng.normal(size=(6, 2)))[0].T
    vectors = in_plane @ directions + rng.normal(size=6)
    vectors[4] = np.nan
    position, share = shift_plane(vectors)
    assert share == pytest.approx(1)
    known = np.arange(9) != 4
    assert pdist(position[known]) == pytest.approx(pdist(in_plane[known]))
    assert position[known].mean(axis=0) == pytest.approx([0, 0])
    assert np.isnan(position[4]).all()


def test_the_plane_holds_the_variance_that_it_says():
    vectors = np.array([[3.0, 0, 0], [-3, 0, 0], [0, 2, 0], [0, -2, 0], [0, 0, 1], [0, 0, -1]]) + 7
    position, share = shift_plane(vectors)
    assert share == pytest.approx(26 / 28)
    assert np.square(position).sum() == pytest.approx(26)
    assert position[0] == pytest.approx([3, 0])


def test_labels_that_moved_alike_have_no_plane():
    for vectors in (np.array([[0.0, -2.0, 0.0]]), np.full((3, 4), 0.1), np.zeros((3, 4))):
        position, share = shift_plane(vectors)
        assert position == pytest.approx(np.zeros((len(vectors), 2))) and np.isnan(share)
    with pytest.raises(ValueError, match="no label has a known shift"):
        shift_plane(np.full((2, 3), np.nan))
