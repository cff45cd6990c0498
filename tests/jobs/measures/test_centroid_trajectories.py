"""The paths stage follows planted moves of labels, and sees nothing where nothing moved."""

import numpy as np
import pytest

from layerscope.jobs.artifacts.centroid_trajectories import read_label_paths
from layerscope.jobs.artifacts.layers import read_layers
from layerscope.jobs.measures.geometry import centroid_trajectories_stage as paths
from layerscope.jobs.measures.geometry.specs import PathsSpec
from tests.jobs.clouds import clouds, labels_of, write_labels, write_states
from tests.jobs.tiny import curve, make_context

NAMES = list("abcde")
PLACES = np.array([[0, 0], [1, 0], [0, 2], [30, 0], [0, 40]])
"""Of the labels in the last layer at the end: a, b and c lie close."""
WALK = np.array([6.0, 8.0])
"""How far b is from its place at the start; half way it has gone half of it."""


def at(folder, far):
    """Two layers in which b is some part of its walk away from its place, and d as far the other way. The
    examples of a label lie around it, less their mean, so that its centroid is its place."""
    labels = {name: labels_of(size, 5) for name, size in (("train", 60), ("test", 10))}
    layers = {}
    for name, of in labels.items():
        around = np.random.default_rng(0).normal(size=(len(of), 3)) / 10
        around -= np.stack([around[of == label].mean(axis=0) for label in range(5)])[of]
        places = np.pad(PLACES.astype(float), ((0, 0), (0, 1)))
        places[1, :2] += far * WALK
        places[3, :2] -= far * WALK
        layers[name] = [(around + scale * places[of]).astype(np.float32) for scale in (0.5, 1.0)]
    return write_states(folder, layers, labels)


def followed(folder, start, end, **checkpoints):
    context = make_context(
        folder / "paths", data=write_labels(folder / "task", NAMES), start=start, end=end, **checkpoints
    )
    metrics = paths.run(PathsSpec(checkpoints=tuple(checkpoints)), context)
    return context, metrics


def test_labels_that_walk_are_followed_among_the_closest_and_counted_among_all(tmp_path):
    # There, to the other side, and back: the way is longer than the move.
    moments = {name: at(tmp_path / name, far) for name, far in (("first", -1.0), ("second", 0.5))}
    context, metrics = followed(tmp_path, at(tmp_path / "start", 1.0), at(tmp_path / "end", 0.0), **moments)
    assert metrics == {"layers": 2}
    found = read_label_paths(context.out)
    assert found.labels == ("a", "b", "c")
    assert found.position_LTC2.shape == (2, 4, 3, 2)
    # b and d each walk 10 (2 + 1.5 + 0.5), a layer below half as far; the mean is over five labels.
    assert curve(context, "path_length") == pytest.approx({0: 8, 1: 16}, rel=1e-4)
    # Places have two dimensions, so the plane keeps the distances but for the third of what lies around.
    steps = np.linalg.norm(np.diff(found.position_LTC2[1], axis=0), axis=2)
    assert steps[:, 1] == pytest.approx([20, 15, 5], rel=1e-2)
    assert steps[:, [0, 2]] == pytest.approx(0, abs=1e-2)
    assert 0.98 < curve(context, "plane_share")[1] < 1
    assert found.share_L == pytest.approx(list(curve(context, "plane_share").values()))


def test_the_order_is_that_of_the_spec(tmp_path):
    start, end = at(tmp_path / "start", 1.0), at(tmp_path / "end", 0.0)
    late, early = at(tmp_path / "late", 0.2), at(tmp_path / "early", 0.6)
    straight, _ = followed(tmp_path / "straight", start, end, early=early, late=late)
    crooked, _ = followed(tmp_path / "crooked", start, end, late=late, early=early)
    # 10 against 8 + 4 + 6, of two labels in five.
    assert curve(straight, "path_length")[1] == pytest.approx(2 / 5 * 10, rel=1e-4)
    assert curve(crooked, "path_length")[1] == pytest.approx(2 / 5 * 18, rel=1e-4)


def test_what_does_not_move_has_no_path(tmp_path):
    rest = at(tmp_path / "rest", 0.0)
    context, _ = followed(tmp_path, rest, rest, half=rest)
    assert curve(context, "path_length") == {0: 0, 1: 0}
    assert (np.diff(read_label_paths(context.out).position_LTC2, axis=1) == 0).all()


def test_a_layer_that_is_the_same_for_all_examples_has_no_plane(tmp_path):
    rest = at(tmp_path / "rest", 0.0)
    part = {name: read_layers(rest, name) for name in ("train", "test")}
    layers = {name: [np.ones_like(of.layers[0]), of.layers[1]] for name, of in part.items()}
    same = write_states(tmp_path / "same", layers, {name: np.asarray(of.labels) for name, of in part.items()})
    context, _ = followed(tmp_path, same, same, half=same)
    assert list(curve(context, "plane_share")) == [1]
    assert np.isnan(read_label_paths(context.out).share_L).tolist() == [True, False]


def test_the_layers_that_all_have_are_followed(tmp_path):
    whole, cut = (clouds(tmp_path / str(depth), [5.0] * depth, num_labels=5) for depth in (3, 2))
    context, metrics = followed(tmp_path, whole, cut, half=cut)
    assert metrics == {"layers": 2}
    assert list(curve(context, "path_length")) == [0, 1]
    assert len(read_label_paths(context.out).position_LTC2) == 2


def test_a_label_without_examples_is_not_followed(tmp_path):
    three = clouds(tmp_path / "three", [5.0], num_labels=3)
    context, _ = followed(tmp_path, three, three, half=three)
    assert read_label_paths(context.out).labels == ("a", "b", "c")
    assert curve(context, "path_length") == {0: 0}


def test_other_examples_at_a_checkpoint_are_refused(tmp_path):
    own = clouds(tmp_path / "own", [5.0], num_labels=5)
    other = clouds(tmp_path / "other", [5.0], num_labels=5, sizes=(80, 90))
    with pytest.raises(ValueError, match="not the same examples in the same order"):
        followed(tmp_path, own, own, half=other)
