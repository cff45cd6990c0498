"""Figures and table of the geometry of labels: which exist, and what they show."""

import math
from dataclasses import replace

import numpy as np
import pytest

from layerscope.jobs.artifacts.centroid_shift import read_label_shift, write_label_shift
from layerscope.jobs.artifacts.centroid_trajectories import LabelPaths, write_label_paths
from layerscope.jobs.measures.geometry.table import geometry_rows
from layerscope.jobs.study_report import render_report, study_figures, variant_figures
from tests.jobs.report.geometries import measured
from tests.jobs.report.studies import make_study, write_curves
from tests.jobs.report.test_document import Page, words


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()] if figure.legends else []


@pytest.fixture
def figures(tmp_path):
    variants = [measured(tmp_path, decay=decay) for decay in (0.9, 1.0)]
    return study_figures(make_study(*variants))


def test_clusters_are_set_beside_the_labels_the_start_and_permuted_labels(figures):
    figure = figures["geometry/topic/clusters"]
    assert legend(figure) == [
        "decay=0.9",
        "decay=1.0",
        "before fine-tuning",
        "permuted labels",
        "labels",
    ]
    *tuned, before, permuted, labels = figure.axes[0].lines
    assert [line.get_ydata().tolist() for line in (before, permuted, labels)] == [[20, 12], [30, 40], [8, 8]]
    assert all(line.get_ydata().tolist() == [20, 8] for line in tuned)


def test_distances_lie_in_the_middle_of_their_interval_and_correlations_have_their_bounds(figures):
    np.testing.assert_allclose(figures["geometry/topic/min_distance"].axes[0].lines[0].get_ydata(), [1, 1.1])
    axes = figures["geometry/topic/test_pearson"].axes[0]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [0.5, 0.7])
    bounds = axes.collections[0].get_datalim(axes.transData)
    np.testing.assert_allclose([bounds.y0, bounds.y1], [0.3, 0.8])


def test_the_labels_that_changed_most_and_least_are_drawn_before_and_after(figures):
    figure = figures["geometry/topic/nearest"]
    assert legend(figure) == ["h", "g", "f", "c", "b", "a"]
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), [1, 8])
    np.testing.assert_allclose(figure.axes[0].lines[-1].get_ydata(), [1, 1])


def test_a_measure_with_figures_of_its_own_is_not_drawn_metric_by_metric(figures):
    names = [name for name in figures if name.startswith("geometry/")]
    assert names == [
        f"geometry/topic/{name}"
        for name in (
            "clusters",
            "min_distance",
            "mean_distance",
            "test_pearson",
            "pearson",
            "centroid_shift",
            "mean_change",
            "nearest",
            "plane",
        )
    ]
    assert not [name for name in figures if name.startswith("shift/")]


def test_shifts_are_drawn_in_a_plane_for_every_other_layer_from_the_last_down(figures):
    (panel,) = figures["geometry/topic/plane"].axes
    assert panel.get_title() == "layer 1: 80 % of variance"
    assert legend(figures["geometry/topic/plane"]) == ["h", "g", "f", "e", "d", "c"]
    farthest = panel.lines[3]
    assert (farthest.get_xdata(), farthest.get_ydata()) == ([8], [1])


def test_a_probing_task_has_figures_of_its_own_and_a_variant_those_of_its_labels(tmp_path):
    variant = measured(tmp_path, subject="pos")
    assert "geometry/topic/pos_clusters" in study_figures(make_study(variant))
    assert list(variant_figures(variant)) == ["geometry/pos_nearest", "geometry/pos_plane"]
    title = " ".join(variant_figures(variant)["geometry/pos_nearest"].get_suptitle().split())
    assert title.startswith("topic, labels of pos: distance to the nearest other label")


def test_many_conditions_are_told_apart_by_factor(tmp_path):
    variants = [measured(tmp_path, decay=decay) for decay in (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)]
    names = study_figures(make_study(*variants))
    assert "geometry/topic/clusters/by_decay" in names
    assert "before fine-tuning" in legend(names["geometry/topic/clusters/by_decay"])


def test_a_variant_that_still_runs_has_no_labels_drawn(tmp_path):
    running = replace(measured(tmp_path), state="running")
    assert not variant_figures(running)
    assert "geometry/topic/clusters" in study_figures(make_study(running))


def test_a_row_is_the_mean_of_the_seeds_in_the_last_layer(tmp_path):
    rows = geometry_rows(make_study(*(measured(tmp_path, seed=seed, decay=0.9) for seed in (0, 1))))
    (row,) = rows
    assert (row.task, row.condition, row.subject, row.layer) == ("topic", "decay=0.9", "topic", 1)
    assert (row.num_labels, row.clusters_before, row.clusters_after, row.clusters_permuted) == (8, 14, 8, 40)
    assert (row.test_after.mean, row.test_after.low) == pytest.approx((0.7, 0.6))
    assert row.test_before.high == pytest.approx(0.95)
    assert not row.has_few_points


def test_the_start_is_looked_at_in_the_last_layer_that_the_tuned_model_has(tmp_path):
    variant = measured(tmp_path)
    variant = write_curves(variant, "geometry", {"clusters": {0: 9.0}, "pairs_too_small": {0: 1.0}})
    (row,) = geometry_rows(make_study(variant))
    assert (row.layer, row.clusters_before, row.clusters_after) == (0, 20, 9)
    assert row.has_few_points
    assert math.isnan(row.clusters_permuted)


def test_the_page_has_figures_and_a_table_that_wraps(tmp_path):
    html = render_report(make_study(measured(tmp_path, subject="pos", decay=0.9)))
    page = words(html)
    assert "Label geometry (DirectProbe)" in page
    assert (
        "topic decay=0.9 pos 1 8 12 8 40 enough 0.900 [0.800, 0.950] 0.700 [0.600, 0.800] "
        "0.600 [0.400, 0.700] 7 0 +3.50" in page
    )
    assert Page(html).tags.count("table") == Page(html).tags.count("caption")
    assert "Label geometry at the last layer" not in words(render_report(make_study()))


def test_checkpoints_stand_between_before_and_after(tmp_path):
    variant = measured(tmp_path, subject="pos", decay=0.9)
    end = variant.folders["shift/pos"]
    for name, pearson in (("at-0.25", 0.8), ("at-0.5", 0.7)):
        variant = write_curves(variant, f"shift/pos/{name}", {"pearson": {0: 0.9, 1: pearson}})
        shift = read_label_shift(end)
        middle = replace(shift, nearest_after_LC=10 * pearson * shift.nearest_before_LC)
        write_label_shift(variant.folders[f"shift/pos/{name}"], middle)
        variant = write_curves(variant, f"geometry/pos/{name}", {"clusters": {0: 1.0, 1: 1.0}})
    figures = study_figures(make_study(variant))
    axes = figures["geometry/topic/pos_nearest"].axes[0]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [1, 8, 7, 8])
    ticks = [" ".join(text.get_text().split()) for text in axes.get_xticklabels()]
    assert ticks == ["before", "0.25 of training", "0.5 of training", "after"]
    along = figures["geometry/topic/pos_pearson_along"]
    assert legend(along) == ["0.25 of training", "0.5 of training", "after"]
    assert [line.get_ydata()[-1] for line in along.axes[0].lines] == [0.8, 0.7, 0.6]
    # They are no probing tasks of their own.
    assert not [name for name in figures if "at-" in name]
    assert len(geometry_rows(make_study(variant))) == 1


def test_of_many_checkpoints_six_moments_are_drawn_the_end_among_them(tmp_path):
    variant = measured(tmp_path)
    for step in range(1, 12):
        variant = write_curves(variant, f"shift/at-{step}", {"pearson": {0: 0.9, 1: 0.5}})
    figure = study_figures(make_study(replace(variant, state="running")))["geometry/topic/pearson_along"]
    assert legend(figure) == ["1 steps", "3 steps", "5 steps", "8 steps", "10 steps", "after"]


def test_paths_are_drawn_in_the_first_layer_above_the_embeddings_and_in_the_last(tmp_path):
    variant = measured(tmp_path, subject="pos", decay=0.9)
    variant = write_curves(variant, "paths/pos", {"path_length": {0: 1.0, 1: 2.0, 2: 4.0}})
    position_LTC2 = np.random.default_rng(0).normal(size=(3, 4, 2, 2))
    paths = LabelPaths(("noun", "end"), position_LTC2, np.array([np.nan, 0.9, 0.75]))
    write_label_paths(variant.folders["paths/pos"], paths)
    figures = study_figures(make_study(variant))
    figure = figures["geometry/topic/pos_paths"]
    assert [panel.get_title() for panel in figure.axes] == [
        "layer 1: 90 % of variance",
        "layer 2: 75 % of variance",
    ]
    assert legend(figure) == ["noun", "end", "start", "end"]
    way, start, end = figure.axes[1].lines[:3]
    np.testing.assert_array_equal(way.get_xydata(), position_LTC2[2, :, 0])
    np.testing.assert_array_equal(start.get_xydata(), position_LTC2[2, :1, 0])
    np.testing.assert_array_equal(end.get_xydata(), position_LTC2[2, -1:, 0])
    assert (start.get_marker(), end.get_marker()) == ("o", "*")
    lengths = figures["geometry/topic/pos_path_length"].axes[0].lines[0]
    assert lengths.get_ydata().tolist() == [1, 2, 4]
    assert "geometry/pos_paths" in variant_figures(variant)
    assert not [name for name in figures if name.startswith("paths/")]


def test_paths_of_the_embeddings_alone_are_one_panel(tmp_path):
    variant = write_curves(measured(tmp_path), "paths", {})
    alone = LabelPaths(("a", "b", "c"), np.zeros((1, 3, 3, 2)), np.array([np.nan]))
    write_label_paths(variant.folders["paths"], alone)
    (panel,) = variant_figures(variant)["geometry/paths"].axes
    assert panel.get_title() == "layer 0: no variance"


def test_planes_show_every_path_whole(tmp_path):
    variant = write_curves(measured(tmp_path), "paths", {})
    # All to one side of the origin, and a little higher than wide.
    corners_C2 = np.array([[0.0, 0.0], [8.0, 0.0], [0.0, 10.0]])
    position_TC2 = np.stack([corners_C2 + [[0.0, step], [step, 0.0], [0.0, step]] for step in range(3)])
    paths = LabelPaths(("a", "b", "c"), np.stack([position_TC2] * 3), np.ones(3))
    write_label_paths(variant.folders["paths"], paths)
    figure = variant_figures(variant)["geometry/paths"]
    figure.draw_without_rendering()
    for panel in figure.axes:
        (left, right), (low, high) = panel.get_xlim(), panel.get_ylim()
        assert left < 0 and low < 0
        assert right > 10 and high > 12
