"""Curves of tuned models stand beside those of what they started from."""

from dataclasses import replace

import numpy as np

from jobs.reporting.figures import study_figures
from jobs.reporting.subjects import subjects_of
from tests.jobs.reporting.studies import make_study, make_variant, write_curves, write_record


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


def test_baselines_are_no_subjects_of_their_own(tmp_path):
    variant = spread(tmp_path, start=0.1)
    variant = write_curves(write_curves(variant, "spread", {}), "spread/random", {})
    assert subjects_of([variant], "spread") == ["pos", ""]
