"""How many layers could go: told for both heads, and drawn on one chart."""

from dataclasses import replace

import pytest

from layerscope.jobs.measures.layer_dropping.table import drop_rows
from layerscope.jobs.study_report import render_report, study_figures
from tests.jobs.report.studies import make_study, make_variant, write_curves, write_record
from tests.jobs.report.test_document import words

TUNED = {0: 0.3, 1: 0.4, 2: 0.896, 3: 0.9}
REFITTED = {0: 0.5, 1: 0.895, 2: 0.91, 3: 0.88}


def measured(root, *, tuned=TUNED, refitted=REFITTED, seed=0, **recipe):
    variant = write_record(make_variant(root, seed=seed, **recipe), test__accuracy=0.9)
    variant = write_curves(variant, "depth", {"accuracy": tuned})
    return variant if refitted is None else write_curves(variant, "depth/refit", {"accuracy": refitted})


def test_the_fewest_layers_within_half_a_point_are_told_for_each_head(tmp_path):
    tuned, refitted = drop_rows(make_study(measured(tmp_path)))
    assert (tuned.head, tuned.kept, tuned.num_layers, tuned.full, tuned.score) == (
        "tuned head",
        2,
        3,
        0.9,
        0.896,
    )
    # Both are set against the whole model with its tuned head; 0.895 is exactly half a point below it.
    assert (refitted.head, refitted.kept, refitted.full, refitted.score) == ("refitted head", 1, 0.9, 0.895)
    assert refitted.cost == pytest.approx(0.005)
    page = words(render_report(make_study(measured(tmp_path))))
    assert "topic single recipe accuracy tuned head 0.900 2 of 3 1 0.896 +0.40" in page
    assert "topic single recipe accuracy refitted head 0.900 1 of 3 2 0.895 +0.50" in page


def test_a_head_with_which_all_depths_lose_more_says_so(tmp_path):
    variant = measured(tmp_path, refitted=dict.fromkeys(range(4), 0.5))
    assert drop_rows(make_study(variant))[1].kept is None
    assert "refitted head 0.900 all lose more – – –" in words(render_report(make_study(variant)))


def test_seeds_are_averaged_before_layers_are_counted(tmp_path):
    variants = [
        measured(tmp_path, seed=seed, tuned={1: value, 2: 0.9}, refitted=None)
        for seed, value in enumerate((0.8, 1.0))
    ]
    (row,) = drop_rows(make_study(*variants))
    assert (row.kept, row.score) == (1, pytest.approx(0.9))


def test_variants_that_are_not_done_have_no_row(tmp_path):
    assert drop_rows(make_study(replace(measured(tmp_path), state="running"))) == []


def test_both_heads_are_on_one_chart(tmp_path):
    figure = study_figures(make_study(measured(tmp_path)))["depth/topic/both_heads"]
    assert [line.get_ydata().tolist() for line in figure.axes[0].lines] == [
        list(TUNED.values()),
        list(REFITTED.values()),
    ]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["single recipe, tuned head", "single recipe, refitted head"]
    assert "depth/topic/both_heads" not in study_figures(make_study(measured(tmp_path, refitted=None)))


def test_many_conditions_are_one_thick_line_a_head(tmp_path):
    variants = [measured(tmp_path, decay=decay / 10) for decay in range(1, 6)]
    figure = study_figures(make_study(*variants))["depth/topic/both_heads"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["tuned head", "refitted head"]
    assert len(figure.axes[0].lines) == 12


def test_a_task_is_shown_by_its_own_metric(tmp_path):
    variant = write_curves(make_variant(tmp_path), "depth", {"pearson": {0: 0.1, 1: 0.8, 2: 0.803}})
    variant = write_curves(
        write_record(variant, test__pearson=0.8), "depth/refit", {"pearson": {0: 0.5, 1: 0.81}}
    )
    study = make_study(variant, metric_by_task={"topic": "pearson"})
    tuned, refitted = drop_rows(study)
    assert (tuned.metric, tuned.kept, tuned.full, tuned.score) == ("pearson", 1, 0.803, 0.8)
    assert (refitted.kept, refitted.full, refitted.score) == (1, 0.803, 0.81)
    assert "topic single recipe pearson tuned head 0.803 1 of 2 1 0.800 +0.30" in words(render_report(study))
    axes = study_figures(study)["depth/topic/both_heads"].axes[0]
    assert axes.get_ylabel() == "pearson"
    # What was measured by another metric alone has no row.
    assert drop_rows(make_study(variant)) == []
