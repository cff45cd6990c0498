"""Curves of tuned models stand beside those of what they started from."""

from dataclasses import replace

import numpy as np

from layerscope.jobs.measures import MEASURES
from layerscope.jobs.report.subjects import subjects_of
from layerscope.jobs.study_report import study_figures
from tests.jobs.report.studies import make_study, make_variant, write_curves, write_record


def spread(root, *, start, **recipe):
    variant = write_record(make_variant(root, **recipe), test__accuracy=0.5)
    variant = write_curves(variant, "spread/pos", {"isoscore": {0: 0.1, 1: 0.2}, "other": {0: 1.0, 1: 1.0}})
    return write_curves(variant, "spread/pos/start", {"isoscore": {0: start, 1: start}})


def test_a_measure_is_one_figure_a_metric_with_all_starts_as_their_mean(tmp_path):
    variants = [spread(tmp_path, start=start, decay=start) for start in (0.5, 0.7)]
    figures = study_figures(make_study(*variants))
    assert [name for name in figures if name.startswith("spread/")] == ["spread/topic/pos_isoscore"]
    figure = figures["spread/topic/pos_isoscore"]
    assert [text.get_text() for text in figure.legends[0].get_texts()][-1] == "before fine-tuning"
    np.testing.assert_allclose(figure.axes[0].lines[-1].get_ydata(), [0.6, 0.6])


def test_a_start_that_variants_share_counts_once(tmp_path):
    first, second, third = (spread(tmp_path, start=start, decay=start) for start in (0.3, 0.4, 0.9))
    second = replace(
        second, folders={**second.folders, "spread/pos/start": first.folders["spread/pos/start"]}
    )
    figures = study_figures(make_study(first, second, third))
    np.testing.assert_allclose(figures["spread/topic/pos_isoscore"].axes[0].lines[-1].get_ydata(), [0.6] * 2)


def test_probes_are_drawn_beside_their_start_and_along_the_training(tmp_path):
    variant = write_record(make_variant(tmp_path), test__accuracy=0.5)
    for role, values in (
        ("probe", (0.1, 0.9)),
        ("probe/start", (0.1, 0.5)),
        ("probe/random", (0.1, 0.2)),
        ("probe/at-0.5", (0.1, 0.7)),
        ("probe/pos", (0.1, 0.6)),
    ):
        variant = write_curves(variant, role, {"accuracy": dict(enumerate(values))})
    figures = study_figures(make_study(variant))
    assert [name for name in figures if name.startswith("probe/")] == [
        "probe/topic/accuracy",
        "probe/topic/accuracy_along",
        "probe/topic/pos_accuracy",
    ]
    ends = [line.get_ydata()[-1] for line in figures["probe/topic/accuracy"].axes[0].lines]
    assert ends == [0.9, 0.5, 0.2]
    ends = [line.get_ydata()[-1] for line in figures["probe/topic/accuracy_along"].axes[0].lines]
    assert ends == [0.7, 0.9]


def test_baselines_are_no_subjects_of_their_own(tmp_path):
    variant = spread(tmp_path, start=0.1)
    variant = write_curves(write_curves(variant, "spread", {}), "spread/random", {})
    assert subjects_of([variant], MEASURES["spread"]) == ["pos", ""]
