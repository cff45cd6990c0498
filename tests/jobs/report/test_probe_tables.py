"""Tables of probes: before against after, seed by seed, and across tasks."""

import math

import pytest

from layerscope.jobs.measures.probe.table import cross_tables, probe_rows
from layerscope.jobs.study_report import render_report, study_figures
from tests.jobs.report.geometries import measured
from tests.jobs.report.studies import make_study, make_variant, write_curves, write_record
from tests.jobs.report.test_document import Page, words


def probed(root, *, after, before=0.5, measure="probe", subject="", seed=0, task="topic", **metrics):
    variant = write_record(make_variant(root, seed=seed, task=task, decay=0.9), test__accuracy=0.5)
    return add(variant, after=after, before=before, measure=measure, subject=subject, **metrics)


def add(variant, *, after, before, measure="probe", subject="", metric="accuracy"):
    role = f"{measure}/{subject}" if subject else measure
    variant = write_curves(variant, role, {metric: {0: 0.1, 1: after}})
    return write_curves(variant, f"{role}/start", {metric: {0: 0.1, 1: before, 2: 0.99}})


def test_the_change_is_taken_seed_by_seed_in_the_last_layer_of_the_tuned_model(tmp_path):
    study = make_study(
        probed(tmp_path, after=0.7, before=0.5, seed=0), probed(tmp_path, after=0.9, before=0.8, seed=1)
    )
    (row,) = probe_rows(study)
    assert (row.subject, row.layer, row.probe) == ("topic", 1, "linear probe, accuracy")
    assert (row.before, row.after, row.change.mean) == pytest.approx((0.65, 0.8, 0.15))
    assert row.change.low < 0.15 < row.change.high
    assert math.isnan(row.deviation) and math.isnan(row.random) and math.isnan(row.selectivity_after)


def test_a_network_has_its_deviation_fresh_weights_and_selectivity(tmp_path):
    variant = probed(tmp_path, after=0.7, measure="mlp_probe", subject="pos")
    curves = {"accuracy": {1: 0.7}, "accuracy_deviation": {1: 0.02}}
    variant = write_curves(variant, "mlp_probe/pos", curves)
    variant = write_curves(variant, "mlp_probe/pos/random", {"accuracy": {1: 0.3}})
    variant = write_curves(variant, "mlp_probe_control/pos", {"selectivity": {1: 0.4}, "accuracy": {1: 0.3}})
    variant = write_curves(variant, "mlp_probe_control/pos/start", {"selectivity": {1: 0.2}})
    (row,) = probe_rows(make_study(variant))
    assert (row.deviation, row.random, row.selectivity_before, row.selectivity_after) == (0.02, 0.3, 0.2, 0.4)
    page = words(render_report(make_study(variant)))
    assert "Compression: uniform code length" not in page
    assert (
        "topic decay=0.9 pos MLP probe, accuracy 1 0.500 0.700 ± 0.020 "
        "+0.200 (one seed or identical values: no interval) 0.300 0.200 0.400"
    ) in page
    names = list(study_figures(make_study(variant)))
    assert names == ["mlp_probe/topic/pos_accuracy", "mlp_probe_control/topic/pos_selectivity"]


def test_compression_is_a_row_of_its_own(tmp_path):
    variant = probed(tmp_path, after=3.0, before=2.0, measure="description_length", metric="compression")
    (row,) = probe_rows(make_study(variant))
    assert (row.probe, row.before, row.after) == ("MDL, compression", 2, 3)
    page = words(render_report(make_study(variant)))
    assert "MDL, compression 1 2.000 3.000 +1.000 (one seed or identical values: no interval)" in page
    assert "Compression: uniform code length" in page
    assert "Random init" not in page and "Selectivity" not in page


def test_tasks_that_were_tuned_on_stand_against_those_that_were_probed(tmp_path):
    variants = [
        add(probed(tmp_path, after=0.8, task=task), after=0.4, before=0.6, subject="pos")
        for task in ("topic", "mood")
    ]
    (table,) = cross_tables(make_study(*variants))
    assert table.columns == ("topic", "pos", "mood")
    assert list(table.cells_by_row) == [("topic", "decay=0.9"), ("mood", "decay=0.9")]
    cells = table.cells_by_row["topic", "decay=0.9"]
    assert list(cells) == ["topic", "pos"]
    assert (cells["pos"].after, cells["pos"].change) == pytest.approx((0.4, -0.2))
    html = render_report(make_study(*variants))
    assert "mood decay=0.9 – 0.400 (−0.200) 0.800 (+0.300)" in words(html)
    assert Page(html).tags.count("table") == Page(html).tags.count("caption")


def test_labels_that_came_apart_are_counted_where_geometry_was_measured(tmp_path):
    variant = measured(tmp_path, subject="pos")
    variant = add(add(variant, after=0.8, before=0.5), after=0.4, before=0.6, subject="pos")
    (table,) = cross_tables(make_study(variant))
    cell = table.cells_by_row["topic", "single recipe"]["pos"]
    assert (cell.num_rising, cell.num_falling, cell.mean_change) == (7, 0, 3.5)
    assert "0.400 (−0.200) 7 farther, 0 nearer, +3.50" in words(render_report(make_study(variant)))


def test_one_task_probed_is_no_table_across_tasks(tmp_path):
    assert cross_tables(make_study(probed(tmp_path, after=0.8))) == []
    assert probe_rows(make_study()) == []


def test_a_probe_of_numbers_is_shown_by_their_correlation(tmp_path):
    variant = add(
        write_record(make_variant(tmp_path, decay=0.9), test__pearson=0.5),
        after=0.7,
        before=0.4,
        metric="pearson_spearman",
    )
    study = make_study(variant, metric_by_task={"topic": "pearson"})
    (row,) = probe_rows(study)
    assert (row.before, row.after, row.change.mean) == pytest.approx((0.4, 0.7, 0.3))
    assert "linear probe, mean of Pearson and Spearman" in words(render_report(study))
    assert "probe/topic/pearson_spearman" in study_figures(study)
