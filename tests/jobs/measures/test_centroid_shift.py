"""The shift stage sees planted moves, and nothing where nothing moved."""

import numpy as np
import pytest

from layerscope.jobs.artifacts.centroid_shift import read_label_shift
from layerscope.jobs.artifacts.layers import read_layers
from layerscope.jobs.measures.geometry import centroid_shift_stage as shift
from layerscope.jobs.measures.geometry import direct_probe_stage as geometry
from layerscope.jobs.measures.geometry.specs import GeometrySpec, ShiftSpec
from tests.jobs.clouds import clouds, write_labels, write_states
from tests.jobs.tiny import curve, make_context

NAMES = list("abcdefgh")


def of(folder, name, **options):
    """States of eight labels that stand apart, and their geometry."""
    states = clouds(folder / name / "states", [12.0, 12.0], num_labels=8, **options)
    return states, geometry_of(folder / name, states)


def geometry_of(folder, states):
    context = make_context(folder / "geometry", states=states, data=write_labels(folder / "task", NAMES))
    geometry.run(GeometrySpec(permutations=0, resamples=50), context)
    return context.out


def moved(folder, tuned, begun):
    context = make_context(
        folder / "shift", states=tuned[0], geometry=tuned[1], other=begun[0], other_geometry=begun[1]
    )
    metrics = shift.run(ShiftSpec(resamples=200), context)
    return context, metrics


@pytest.fixture
def begun(tmp_path):
    return of(tmp_path, "begun")


def changed(folder, states, change):
    """The states after a function of layer and labels."""
    parts = {name: read_layers(states, name) for name in ("train", "test")}
    layers = {
        name: [change(layer_ND, np.asarray(part.labels)) for layer_ND in part.layers]
        for name, part in parts.items()
    }
    labels = {name: np.asarray(part.labels) for name, part in parts.items()}
    states = write_states(folder / "states", layers, labels)
    return states, geometry_of(folder, states)


def test_what_did_not_move_has_no_shift(tmp_path, begun):
    context, metrics = moved(tmp_path, begun, begun)
    assert metrics == {"layers": 2}
    assert curve(context, "pearson") == pytest.approx({0: 1, 1: 1})
    for name in ("centroid_shift", "centroid_shift_max", "mean_change", "rising", "falling"):
        assert curve(context, name) == {0: 0, 1: 0}
    found = read_label_shift(context.out)
    assert (found.plane_LC2 == 0).all() and np.isnan(found.plane_share_L).all()
    assert curve(context, "common_shift") == {0: 0, 1: 0}


def test_a_planted_move_is_found_at_its_label_and_in_its_plane(tmp_path, begun):
    def push_b(layer_ND, labels_N):
        return layer_ND + np.float32(3) * np.outer(labels_N == 1, np.arange(5) == 2).astype(np.float32)

    context, _ = moved(tmp_path, changed(tmp_path / "tuned", begun[0], push_b), begun)
    found = read_label_shift(context.out)
    assert found.labels == tuple(NAMES)
    # float32 states of about 30 carry rounding of some 1e-6.
    assert found.norm_LC == pytest.approx(np.tile(3.0 * (np.arange(8) == 1), (2, 1)), abs=1e-5)
    # Less the mean shift, an eighth of 3.
    assert found.plane_LC2[:, :, 0] == pytest.approx(
        np.tile(3 * (np.arange(8) == 1) - 3 / 8, (2, 1)), abs=1e-5
    )
    assert found.plane_share_L == pytest.approx([1, 1])
    assert curve(context, "common_shift") == pytest.approx({0: 3 / 8, 1: 3 / 8}, abs=1e-5)
    assert curve(context, "centroid_shift") == pytest.approx({0: 3 / 8, 1: 3 / 8}, abs=1e-5)
    assert curve(context, "centroid_shift_max") == pytest.approx({0: 3, 1: 3}, abs=1e-5)


def test_labels_that_draw_apart_rise_and_keep_their_correlation(tmp_path, begun):
    tuned = changed(tmp_path / "tuned", begun[0], lambda layer_ND, labels_N: 2 * layer_ND)
    context, _ = moved(tmp_path, tuned, begun)
    found = read_label_shift(context.out)
    # Both intervals are closed to 1e-6 of themselves.
    assert found.nearest_after_LC == pytest.approx(2 * found.nearest_before_LC, rel=3e-6)
    assert curve(context, "rising") == {0: 8, 1: 8} and curve(context, "falling") == {0: 0, 1: 0}
    assert curve(context, "mean_change")[0] == pytest.approx(found.nearest_before_LC[0].mean(), rel=1e-5)
    assert curve(context, "pearson") == pytest.approx({0: 1, 1: 1})


def test_places_that_have_nothing_in_common_do_not_correlate(tmp_path, begun):
    tuned = of(tmp_path, "tuned", moved=30.0)
    context, _ = moved(tmp_path, tuned, begun)
    pearson, low, high = (curve(context, f"pearson{end}")[0] for end in ("", "_low", "_high"))
    assert low < pearson < high
    assert low < 0.5


def test_a_tuned_model_that_was_cut_is_compared_over_the_common_depth(tmp_path, begun):
    parts = {name: read_layers(begun[0], name) for name in ("train", "test")}
    labels = {name: np.asarray(part.labels) for name, part in parts.items()}
    short = write_states(
        tmp_path / "short" / "states", {name: part.layers[:1] for name, part in parts.items()}, labels
    )
    context, metrics = moved(tmp_path, (short, geometry_of(tmp_path / "short", short)), begun)
    assert metrics == {"layers": 1}
    assert list(curve(context, "pearson")) == [0]


def test_other_examples_are_refused(tmp_path, begun):
    tuned = of(tmp_path, "tuned", sizes=(80, 90))
    with pytest.raises(ValueError, match="not the same examples in the same order"):
        moved(tmp_path, tuned, begun)
