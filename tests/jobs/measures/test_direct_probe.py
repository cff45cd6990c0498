"""The geometry stage finds what is planted, and leaves proofs that are checked again from its files alone."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from layerscope.jobs.artifacts.label_geometry import read_label_geometry
from layerscope.jobs.artifacts.layers import read_layers
from layerscope.jobs.measures.geometry import direct_probe_stage as geometry
from layerscope.jobs.measures.geometry.specs import GeometrySpec
from tests.jobs.clouds import cloud, clouds, labels_of, write_labels, write_states
from tests.jobs.tiny import curve, curves, make_context, names_of_curves

NAMES = ["a", "b", "c", "d"]
APART, MIXED = 12.0, 0.6


def measured(folder, states, *, names=NAMES, **fields):
    context = make_context(folder / "geometry", states=states, data=write_labels(folder / "task", names))
    return context, geometry.run(GeometrySpec(resamples=200, **fields), context)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A layer in which four labels stand apart, and one in which they are mixed."""
    folder = tmp_path_factory.mktemp("both")
    states = clouds(folder / "states", [APART, MIXED])
    context, metrics = measured(folder, states)
    return states, context, metrics


def test_labels_that_stand_apart_are_a_cluster_each_and_mixed_ones_are_not(both):
    _, context, metrics = both
    assert curve(context, "labels") == {0: 4, 1: 4}
    assert curve(context, "clusters")[0] == 4 < curve(context, "clusters")[1]
    assert curve(context, "linear") == {0: 1, 1: 0}
    assert metrics == {"layers": 2, "layers_linear": 1, "layers_undefined": 0}


def test_permuted_labels_need_many_clusters_where_points_are_many(both):
    _, context, _ = both
    assert min(curve(context, "permuted_clusters").values()) > 12
    assert curve(context, "pairs_too_small") == {0: 0, 1: 0}


def test_where_points_are_few_separability_says_nothing_and_the_control_tells(tmp_path):
    context, _ = measured(tmp_path, clouds(tmp_path / "states", [0.0], width=40, sizes=(24, 24)))
    assert curve(context, "clusters")[0] == curve(context, "permuted_clusters")[0] == 4
    assert curve(context, "pairs_too_small")[0] == 1
    assert "no more points than dimensions" in (context.scratch / "log.txt").read_text()


def test_the_control_can_be_left_out(tmp_path):
    context, _ = measured(tmp_path, clouds(tmp_path / "states", [APART]), permutations=0)
    assert "permuted_clusters" not in names_of_curves(context)


@pytest.mark.parametrize("layer", [0, 1])
def test_a_stored_plane_stands_between_any_two_clusters_of_different_labels(both, layer):
    states, context, _ = both
    points = read_layers(states, "train").layers[layer].astype(np.float64)
    with np.load(context.out / f"layer_{layer:02d}.npz") as file:
        cluster, label, pairs = file["cluster_N"], file["label_of_cluster_K"], file["plane_pair_S2"]
        expected = {
            (left, right)
            for left in range(len(label))
            for right in range(left + 1, len(label))
            if label[left] != label[right]
        }
        assert {tuple(pair) for pair in pairs.tolist()} == expected
        for (left, right), normal, offset in zip(
            pairs, file["plane_normal_SD"], file["plane_offset_S"], strict=True
        ):
            low = (points[cluster == left] @ normal).min()
            high = (points[cluster == right] @ normal).max()
            assert low > offset > high
            # The gap is a lower bound of the distance, and two centroids an upper one.
            assert low - high >= file["distance_lower_KK"][left, right] - 1e-9
            middle = points[cluster == left].mean(axis=0) - points[cluster == right].mean(axis=0)
            assert file["distance_upper_KK"][left, right] <= np.linalg.norm(middle) + 1e-9


def test_a_stored_common_point_keeps_any_two_clusters_of_one_label_apart(both):
    states, context, _ = both
    part = read_layers(states, "train")
    points = part.layers[1].astype(np.float64)
    radius = np.linalg.norm(points - points.mean(axis=0), axis=1).max()
    with np.load(context.out / "layer_01.npz") as file:
        cluster, label, veto = file["cluster_N"], file["label_of_cluster_K"], file["veto_KK"]
        assert (np.asarray(part.labels) == label[cluster]).all()
        pairs = np.argwhere(np.triu(label[:, None] == label[None], 1))
        assert len(pairs) > 3
        for left, right in pairs:
            (left_rows, left_weights), (right_rows, right_weights) = (
                witness(file, side, veto[left, right]) for side in ("left", "right")
            )
            assert set(cluster[left_rows]) <= {left, right}
            (culprit,) = set(cluster[right_rows])
            assert label[culprit] != label[left]
            for weights in (left_weights, right_weights):
                assert (weights >= 0).all() and weights.sum() == pytest.approx(1)
            # As in the kernel's own test: 1e-9 of the radius is promised in whitened coordinates.
            met = right_weights @ points[right_rows]
            assert left_weights @ points[left_rows] == pytest.approx(met, abs=1e-8 * radius)


def witness(file, side, number):
    end = file[f"veto_{side}_end_V"]
    part = slice(end[number - 1] if number else 0, end[number])
    return file[f"veto_{side}_rows_W"][part], file[f"veto_{side}_weights_W"][part]


def test_distances_of_single_points_are_those_of_the_points(tmp_path):
    labels = {"train": labels_of(4, 4), "test": labels_of(8, 4)}
    layers = {name: [cloud(of, width=5, gap=3, num_labels=4, seed=0)] for name, of in labels.items()}
    context, _ = measured(tmp_path, write_states(tmp_path / "states", layers, labels))
    distances = cdist(layers["train"][0].astype(np.float64), layers["train"][0].astype(np.float64))
    found = read_label_geometry(context.out)
    assert found.labels == tuple(NAMES)
    assert found.train.mean[0] == pytest.approx(distances, rel=1e-6)
    assert found.train.least_upper_LCC[0] == pytest.approx(distances, rel=1e-6)
    np.fill_diagonal(distances, np.inf)
    assert found.train.nearest[0] == pytest.approx(distances.min(axis=1), rel=1e-6)
    assert curve(context, "min_distance_lower")[0] == pytest.approx(distances.min(), rel=1e-6)
    assert curve(context, "mean_distance_upper")[0] == pytest.approx(
        distances[np.triu_indices(4, 1)].mean(), rel=1e-6
    )


def test_the_ends_of_distances_are_in_order(both):
    _, context, _ = both
    found = read_label_geometry(context.out)
    for part in (found.train, found.test):
        assert (part.least_lower_LCC <= part.least_upper_LCC).all()
        assert (part.least_upper_LCC <= part.mean_upper_LCC + 1e-12).all()
        assert (part.nearest_lower_LC <= part.nearest_upper_LC).all()
    ends = [
        curve(context, f"{name}_distance_{end}") for name in ("min", "mean") for end in ("lower", "upper")
    ]
    assert all(ends[0][layer] <= ends[1][layer] < ends[2][layer] <= ends[3][layer] for layer in (0, 1))


@pytest.mark.slow
def test_train_and_test_agree_where_the_labels_have_places_of_their_own(tmp_path):
    states = clouds(tmp_path / "states", [APART, 0.0], num_labels=8, sizes=(160, 160))
    context, _ = measured(tmp_path, states, names=list("abcdefgh"))
    pearson, low, high = (curve(context, f"test_pearson{end}") for end in ("", "_low", "_high"))
    assert pearson[0] > 0.95
    assert low[0] < pearson[0] < high[0]
    # Without places there is nothing to agree on; 28 pairs of 8 labels.
    assert pearson[1] < 0.7


def test_a_layer_that_is_the_same_for_all_examples_has_no_geometry(tmp_path):
    states = clouds(tmp_path / "states", [APART, APART])
    parts = {name: read_layers(states, name) for name in ("train", "test")}
    layers = {name: [np.ones_like(part.layers[0]), part.layers[1]] for name, part in parts.items()}
    labels = {name: np.asarray(part.labels) for name, part in parts.items()}
    context, metrics = measured(tmp_path, write_states(tmp_path / "constant", layers, labels))
    assert metrics == {"layers": 2, "layers_linear": 1, "layers_undefined": 1}
    assert [step for step, _ in curves(context)] == [1]
    found = read_label_geometry(context.out)
    assert np.isnan(found.train.mean[0]).all() and np.isfinite(found.train.mean[1]).all()
    assert not (context.out / "layer_00.npz").exists()


def test_a_state_under_two_labels_is_left_out_and_counted(tmp_path):
    labels = {"train": labels_of(40, 4), "test": labels_of(40, 4)}
    layers = {name: [cloud(of, width=5, gap=APART, num_labels=4, seed=3)] for name, of in labels.items()}
    layers["train"][0][1] = layers["train"][0][0]
    context, _ = measured(tmp_path, write_states(tmp_path / "states", layers, labels))
    assert curve(context, "contradicted")[0] == 2
    with np.load(context.out / "layer_00.npz") as file:
        assert np.flatnonzero(file["cluster_N"] == -1).tolist() == [0, 1]


def test_a_label_without_examples_has_no_distance_and_two_labels_no_correlation(tmp_path):
    labels = {"train": labels_of(40, 2) + 1, "test": labels_of(40, 2) + 1}
    layers = {name: [cloud(of, width=5, gap=APART, num_labels=4, seed=3)] for name, of in labels.items()}
    context, _ = measured(tmp_path, write_states(tmp_path / "states", layers, labels), names=["a", "b", "c"])
    found = read_label_geometry(context.out)
    assert np.isnan(found.train.nearest[0]).tolist() == [True, False, False]
    assert np.isnan(found.train.mean[0, 0]).all()
    assert curve(context, "labels")[0] == 2
    assert "test_pearson" not in names_of_curves(context)


def test_the_same_states_give_the_same_bytes(tmp_path):
    states = clouds(tmp_path / "states", [MIXED])
    outs = [measured(tmp_path / name, states)[0].out for name in ("one", "two")]
    for name in ("geometry.npz", "layer_00.npz"):
        with np.load(outs[0] / name) as one, np.load(outs[1] / name) as two:
            assert all(one[array].tobytes() == two[array].tobytes() for array in one.files)
