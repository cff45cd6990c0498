"""DirectProbe: the clusters of the slow obvious version, invariances, and proofs that are checked again."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from layerscope.jobs.kernels.directprobe import directions, vetoes
from layerscope.jobs.kernels.directprobe.directprobe import direct_probe, permuted_num_clusters
from tests.jobs.kernels.directprobe.naive_directprobe import naive_clusters


def as_sets(cluster_N):
    return {frozenset(np.flatnonzero(cluster_N == cluster).tolist()) for cluster in np.unique(cluster_N)}


def cloud(seed, *, num_points, width, num_labels, gap):
    """Points with a power-law spectrum around label means that are `gap` times as widely spread."""
    rng = np.random.default_rng(seed)
    spread = 1 / np.sqrt(1 + np.arange(width))
    labels = np.concatenate([np.arange(num_labels), rng.integers(num_labels, size=num_points - num_labels)])
    means = gap * rng.normal(size=(num_labels, width)) * spread
    return rng.normal(size=(num_points, width)) * spread + means[labels], labels


SIZES = [
    (12, 2, 2), (20, 2, 3), (24, 2, 4), (20, 3, 2), (24, 3, 3), (28, 4, 2), (24, 5, 3), (28, 6, 4),
    (32, 8, 2), (36, 16, 2),
]  # fmt: skip
CLOUDS = [(seed, *size, gap) for gap in (0, 0.6, 2.5) for seed, size in enumerate(SIZES)]
CLOUDS += [(1, 50, 32, 2, 0), (2, 76, 64, 2, 0)]


@pytest.mark.parametrize("seed, num_points, width, num_labels, gap", CLOUDS)
def test_the_clusters_are_those_of_the_naive_version(seed, num_points, width, num_labels, gap):
    points, labels = cloud(seed, num_points=num_points, width=width, num_labels=num_labels, gap=gap)
    probe = direct_probe(points, labels)
    assert as_sets(probe.cluster_N) == naive_clusters(points, labels)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def hard():
    """A cloud whose labels overlap."""
    return cloud(0, num_points=90, width=6, num_labels=3, gap=0.6)


def rotation(rng, width):
    return np.linalg.qr(rng.normal(size=(width, width)))[0]


def test_rotation_shift_and_scale_change_no_cluster_and_scale_the_distances(hard, rng):
    points, labels = hard
    probe = direct_probe(points, labels)
    moved = direct_probe(20 * points @ rotation(rng, 6) + 5, labels)
    assert probe.num_clusters > 3 and not probe.is_linear
    assert (moved.cluster_N == probe.cluster_N).all()
    # Both intervals are closed to 1e-6 and hold the true distance.
    assert moved.distance_upper_KK == pytest.approx(20 * probe.distance_upper_KK, rel=2e-6)
    assert moved.distance_lower_KK == pytest.approx(20 * probe.distance_lower_KK, rel=2e-6)


def test_the_order_of_rows_and_the_names_of_labels_change_nothing(hard, rng):
    points, labels = hard
    order = rng.permutation(len(points))
    names = np.array(["b", "c", "a"])
    shuffled = direct_probe(points[order], names[labels[order]])
    back = np.empty(len(points), dtype=int)
    back[order] = shuffled.cluster_N
    assert as_sets(back) == as_sets(direct_probe(points, labels).cluster_N)
    assert shuffled.labels_C.tolist() == ["a", "b", "c"]


def test_the_same_points_give_the_same_bytes(hard):
    first, second = direct_probe(*hard), direct_probe(*hard)
    assert first.distance_lower_KK.tobytes() == second.distance_lower_KK.tobytes()
    assert first.planes.normal_SD.tobytes() == second.planes.normal_SD.tobytes()


def test_directions_that_no_pair_needs_are_forgotten_and_change_no_cluster(hard, monkeypatch):
    plenty = direct_probe(*hard)
    forgotten = []
    forget = directions.Directions.forget_unused

    def counted(pool):
        before = len(pool)
        forget(pool)
        forgotten.append(before - len(pool))

    monkeypatch.setattr(directions, "ENOUGH", 8)
    monkeypatch.setattr(vetoes, "CENTROIDS_TRIED", 4)
    monkeypatch.setattr(directions.Directions, "forget_unused", counted)
    scarce = direct_probe(*hard)
    assert sum(forgotten) > 0
    assert (scarce.cluster_N == plenty.cluster_N).all()
    assert {tuple(pair) for pair in scarce.planes.pair_S2} == {tuple(pair) for pair in plenty.planes.pair_S2}
    assert scarce.planes.margin_S == pytest.approx(plenty.planes.margin_S, rel=1e-6)


@pytest.mark.parametrize("distances", ["rough", "different", "all"])
def test_a_plane_stands_between_any_two_clusters_of_different_labels(hard, distances):
    points, labels = hard
    probe = direct_probe(points, labels, distances=distances)
    planes = probe.planes
    pairs = {
        (left, right)
        for left in range(probe.num_clusters)
        for right in range(left + 1, probe.num_clusters)
        if probe.label_of_cluster_K[left] != probe.label_of_cluster_K[right]
    }
    assert pairs == {tuple(pair) for pair in planes.pair_S2.tolist()}
    for (left, right), normal, offset, margin in zip(
        planes.pair_S2, planes.normal_SD, planes.offset_S, planes.margin_S, strict=True
    ):
        low = (points[probe.cluster_N == left] @ normal).min()
        high = (points[probe.cluster_N == right] @ normal).max()
        assert np.linalg.norm(normal) == pytest.approx(1)
        assert low > offset > high
        assert low - high == pytest.approx(margin, abs=1e-12)
        assert probe.distance_lower_KK[left, right] == margin


def test_any_two_clusters_of_one_label_would_meet_a_third(hard):
    points, labels = hard
    probe = direct_probe(points, labels)
    radius = np.linalg.norm(points - points.mean(axis=0), axis=1).max()
    same = probe.label_of_cluster_K[:, None] == probe.label_of_cluster_K[None]
    pairs = np.argwhere(np.triu(same, 1))
    assert len(pairs) > 5
    for left, right in pairs:
        veto = probe.vetoes[probe.veto_KK[left, right]]
        culprit = probe.cluster_N[veto.right_rows[0]]
        assert np.isin(probe.cluster_N[veto.left_rows], [left, right]).all()
        assert (probe.cluster_N[veto.right_rows] == culprit).all()
        assert probe.label_of_cluster_K[culprit] != probe.label_of_cluster_K[left]
        for weights in (veto.left_weights, veto.right_weights):
            assert (weights >= 0).all() and weights.sum() == pytest.approx(1)
        met = veto.left_weights @ points[veto.left_rows]
        # The kernel promises 1e-9 of the radius in whitened coordinates; these spread a little less evenly.
        assert met == pytest.approx(veto.right_weights @ points[veto.right_rows], abs=1e-8 * radius)
    assert (probe.veto_KK[~same] == -1).all()


def test_rough_distances_hold_the_exact_ones(hard):
    exact, rough = direct_probe(*hard, distances="all"), direct_probe(*hard, distances="rough")
    different = exact.label_of_cluster_K[:, None] != exact.label_of_cluster_K
    is_closed, is_closed_roughly = (
        probe.distance_upper_KK - probe.distance_lower_KK <= 1e-6 * probe.distance_upper_KK
        for probe in (exact, rough)
    )
    assert is_closed[different].all() and not is_closed_roughly[different].all()
    assert (rough.distance_lower_KK <= exact.distance_upper_KK).all()
    assert (rough.distance_upper_KK >= exact.distance_lower_KK).all()


def test_label_distances_are_least_and_mean_over_the_cluster_pairs(hard):
    probe = direct_probe(*hard)
    of_label = [np.flatnonzero(probe.label_of_cluster_K == label) for label in probe.labels_C]
    for over, join in (("least", np.min), ("mean", np.mean)):
        lower, upper = probe.label_distances(over)
        for a, b in [(0, 1), (0, 2), (2, 1)]:
            block = np.ix_(of_label[a], of_label[b])
            assert lower[a, b] == pytest.approx(join(probe.distance_lower_KK[block]))
            assert upper[a, b] == pytest.approx(join(probe.distance_upper_KK[block]))
        assert (np.diag(lower) == 0).all()
        assert (lower == lower.T).all() and (upper == upper.T).all()


def test_known_clusters_in_the_plane():
    """Two labels in the corners of a square, crosswise: no line tells them apart, single points can."""
    points = np.array([[0, 0], [1, 1], [0, 1], [1, 0]])
    probe = direct_probe(points, ["a", "a", "b", "b"])
    # The first diagonal merges; the second one would cross it.
    assert as_sets(probe.cluster_N) == {frozenset([0, 1]), frozenset([2]), frozenset([3])}
    assert probe.distance_lower_KK[0, 1:] == pytest.approx(np.sqrt(0.5), rel=1e-6)
    (veto,) = probe.vetoes
    assert veto.left_weights @ points[veto.left_rows] == pytest.approx([0.5, 0.5])
    assert (probe.cluster_N[veto.right_rows] == 0).all()


def test_what_planes_separate_is_not_clustered():
    points, labels = cloud(3, num_points=300, width=12, num_labels=5, gap=20)
    probe = direct_probe(points, labels)
    assert probe.is_linear and not len(probe.vetoes)
    assert (probe.label_of_cluster_K == np.arange(5)).all() and (probe.cluster_N == labels).all()
    assert probe.notes == ()


def test_one_label_is_one_cluster():
    probe = direct_probe(np.arange(12.0).reshape(6, 2), np.zeros(6))
    assert probe.num_clusters == 1 and probe.is_linear and not len(probe.planes.pair_S2)
    assert direct_probe(np.ones((3, 2)), [4, 4, 4]).num_clusters == 1


def test_single_points_are_clusters_and_their_hulls_are_themselves(rng):
    points = rng.normal(size=(5, 3))
    probe = direct_probe(points, np.arange(5))
    assert probe.distance_lower_KK == pytest.approx(cdist(points, points))
    assert probe.distance_upper_KK == pytest.approx(cdist(points, points))


def test_constant_coordinates_change_nothing(hard):
    points, labels = hard
    wider = np.hstack([points, np.full((len(points), 2), 3.0), np.zeros((len(points), 1))])
    probe = direct_probe(wider, labels)
    assert (probe.cluster_N == direct_probe(points, labels).cluster_N).all()
    assert probe.rank == 6


def test_fewer_points_than_coordinates_are_linear_and_say_little(rng):
    points, labels = rng.normal(size=(20, 40)), rng.integers(3, size=20)
    probe = direct_probe(points, labels)
    assert probe.is_linear and probe.rank == 19
    assert "3 of 3 label pairs have no more points" in probe.notes[0]


def test_few_points_for_each_coordinate_are_noted(rng):
    probe = direct_probe(rng.normal(size=(50, 30)), np.arange(50) % 2)
    assert "1 of 1 label pairs have fewer points than twice" in probe.notes[0]
    assert probe.pair_capacity[0, 1] == pytest.approx(50 / 31)


def test_a_point_under_two_labels_is_refused_by_row(rng):
    points, labels = rng.normal(size=(12, 3)), np.arange(12) % 2
    points[7] = points[2]
    points[9] = points[3]
    with pytest.raises(ValueError, match=r"2 rows .* for example rows 2, 7 with labels 0, 1: drop them"):
        direct_probe(points, labels)


def test_contradictions_are_dropped_or_decided_by_the_majority(rng):
    points, labels = rng.normal(size=(12, 3)), np.arange(12) % 2
    points[[4, 7]] = points[2]
    dropped = direct_probe(points, labels, duplicates="drop")
    assert np.flatnonzero(dropped.cluster_N == -1).tolist() == [2, 4, 7] == dropped.changed_rows.tolist()
    decided = direct_probe(points, labels, duplicates="majority")
    assert decided.changed_rows.tolist() == [7]
    assert decided.label_of_cluster_K[decided.cluster_N[7]] == 0
    assert "1 rows have the same point" in decided.notes[-1]
    with pytest.raises(ValueError, match="nothing is left"):
        direct_probe(np.zeros((2, 3)), [0, 1], duplicates="drop")


def test_points_that_occur_twice_under_one_label_are_no_problem(hard):
    points, labels = hard
    once = direct_probe(points, labels)
    twice = direct_probe(np.concatenate([points, points]), np.concatenate([labels, labels]))
    assert (twice.cluster_N[: len(points)] == twice.cluster_N[len(points) :]).all()
    assert as_sets(twice.cluster_N[: len(points)]) == as_sets(once.cluster_N)


def test_permuted_labels_need_more_clusters_where_there_is_something_to_find():
    points, labels = cloud(5, num_points=60, width=4, num_labels=3, gap=12)
    counts = permuted_num_clusters(points, labels, num_permutations=3, seed=0)
    assert direct_probe(points, labels).num_clusters == 3
    assert (counts > 6).all()
    assert (counts == permuted_num_clusters(points, labels, num_permutations=3, seed=0)).all()


def test_permuted_labels_need_no_more_where_points_are_few(rng):
    points, labels = rng.normal(size=(20, 40)), np.arange(20) % 3
    assert permuted_num_clusters(points, labels, num_permutations=4, seed=1).tolist() == [3, 3, 3, 3]


@pytest.mark.parametrize(
    "points, labels, message",
    [
        (np.zeros(3), [0, 1, 2], r"points must be \(points, coordinates\)"),
        (np.zeros((0, 2)), [], r"points must be \(points, coordinates\)"),
        (np.zeros((3, 2)), [0, 1], "one label for each of the 3 points"),
        (np.array([[0.0, 1.0], [np.nan, 0.0]]), [0, 1], "these rows are not: 1"),
    ],
)
def test_what_cannot_be_clustered_is_refused(points, labels, message):
    with pytest.raises(ValueError, match=message):
        direct_probe(points, labels)
