"""Tests of the figures: which exist, what they show, and that odd data do not break them."""

from dataclasses import replace

import numpy as np
import pytest

from layerscope.jobs.report.conditions import level_by_label
from layerscope.jobs.report.series import band, mean_band, thinned
from layerscope.jobs.study_report import study_figures, variant_figures
from tests.jobs.report.studies import make_study, make_variant, write_curves, write_map, write_record


def learning(root, *, seed=0, decay=0.9, values=(0.5, 0.7), **recipe):
    variant = write_record(make_variant(root, seed=seed, decay=decay, **recipe), test__accuracy=values[-1])
    return write_curves(variant, "finetune", {"validation/accuracy": dict(enumerate(values, start=1))})


def test_few_conditions_are_drawn_one_by_one_with_a_band_over_seeds(tmp_path):
    variants = [learning(tmp_path, seed=seed, values=(0.5, 0.6 + 0.2 * seed)) for seed in (0, 1)]
    figure = study_figures(make_study(*variants))["learning/topic/validation_accuracy"]
    (line,) = figure.axes[0].lines
    np.testing.assert_allclose(line.get_ydata(), [0.5, 0.7])
    np.testing.assert_allclose(figure.axes[0].collections[0].get_datalim(figure.axes[0].transData).y1, 0.8)


def test_many_conditions_are_drawn_once_for_each_factor(tmp_path):
    variants = [
        learning(tmp_path, decay=decay, truncation=truncation)
        for decay in (0.8, 0.9, 0.95, 1.0)
        for truncation in ("head", "tail")
    ]
    names = [name for name in study_figures(make_study(*variants)) if name.startswith("learning/")]
    assert names == [f"learning/topic/validation_accuracy/by_{factor}" for factor in ("decay", "truncation")]


def test_a_searched_factor_is_a_scatter_and_its_curves_are_in_thirds(tmp_path):
    rates = [float(rate) for rate in np.geomspace(1e-5, 1e-3, 9)]
    figures = study_figures(make_study(*(learning(tmp_path, learning_rate=rate) for rate in rates)))
    assert figures["factors/topic/learning_rate"].axes[0].get_xscale() == "log"
    legend = figures["learning/topic/validation_accuracy/by_learning_rate"].legends[0]
    assert len(legend.get_texts()) == 3


def test_levels_of_many_words_end_in_other():
    assert list(dict.fromkeys(level_by_label("abcdefgh").values())) == ["a", "b", "c", "d", "e", "other"]


def test_heat_maps_share_one_scale_and_average_seeds(tmp_path):
    maps = [np.full((3, 3), 0.2), np.full((3, 3), 0.6)]
    maps[0][0, 0] = np.nan
    variants = [
        write_map(learning(tmp_path, seed=seed), "cka/start", similarity)
        for seed, similarity in enumerate(maps)
    ]
    figure = study_figures(make_study(*variants))["maps/topic/cka_start"]
    image = figure.axes[0].images[0]
    assert image.get_clim() == (0, 1)
    assert image.get_array()[1, 1] == pytest.approx(0.4)
    assert image.get_array().mask[0, 0]
    assert figure.axes[0].patch.get_hatch()


def test_more_maps_than_fit_say_how_many_are_shown(tmp_path):
    variants = [
        write_map(learning(tmp_path, decay=decay), "cka/within", np.eye(3))
        for decay in np.linspace(0.5, 1, 14)
    ]
    figure = study_figures(make_study(*variants))["maps/topic/cka_within"]
    assert "the 12 best of 14 conditions" in " ".join(figure.get_suptitle().split())


def test_a_shared_pretraining_is_drawn_once(tmp_path):
    loss = {"train/mlm_loss": {1: 3.0, 2: 2.0}}
    first = write_curves(learning(tmp_path, decay=0.9), "pretrain", loss)
    second = replace(
        learning(tmp_path, decay=1.0), folders={"pretrain": first.folders["pretrain"]}, state="running"
    )
    figure = study_figures(make_study(first, second))["pretraining/topic/train_mlm_loss"]
    assert len(figure.axes[0].lines) == 1


def test_snapshots_are_one_curve_under_the_name_of_their_pretraining(tmp_path):
    loss = {"train/mlm_loss": {1: 3.0, 2: 2.0}}
    variants = []
    for name in ("own", "cross"):
        last = write_curves(learning(tmp_path, pretraining=name), "pretrain", loss)
        begun = replace(learning(tmp_path, pretraining=f"{name}@1"), folders=last.folders)
        variants += [begun, last]
    figure = study_figures(make_study(*variants))["pretraining/topic/train_mlm_loss"]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert sorted(labels) == ["pretraining=cross", "pretraining=own"]


def test_a_running_variant_is_dotted(tmp_path):
    running = replace(learning(tmp_path), state="running")
    figure = study_figures(make_study(running))["learning/topic/validation_accuracy"]
    assert [line.get_linestyle() for line in figure.axes[0].lines] == [":"]


def test_a_variant_has_its_own_maps(tmp_path):
    variant = write_map(learning(tmp_path), "cka/start", np.eye(3))
    variant = write_curves(variant, "depth", {"accuracy": {0: 0.2, 1: np.nan}})
    assert list(variant_figures(variant)) == ["cka/start"]


def test_a_value_that_is_not_finite_makes_a_gap():
    curve = band([{1: 0.5, 2: 0.5}, {1: 0.7, 2: float("nan")}])
    np.testing.assert_allclose(curve.mean, [0.6, np.nan])


def test_thinning_keeps_the_mean():
    curve = band([{step: float(step % 7) for step in range(1000)}])
    thin = thinned(curve, max_points=40)
    assert len(thin.steps) == 40
    assert thin.mean.mean() == pytest.approx(curve.mean.mean())


def test_the_mean_of_curves_leaves_out_what_is_not_finished():
    finished = [band([{1: 0.2, 2: 0.4, 3: 0.6}]), band([{1: 0.4, 2: 0.6}])]
    running = band([{1: 9.0}], is_finished=False)
    np.testing.assert_allclose(mean_band([*finished, running]).mean, [0.3, 0.5])
    assert mean_band([running]) is None


def test_maps_of_a_tuned_model_with_fewer_layers_lie_on_the_axes_of_the_largest(tmp_path):
    variants = [
        write_map(learning(tmp_path, decay=decay), "cka/start", np.full(shape, 0.5))
        for decay, shape in ((0.9, (5, 5)), (0.8, (3, 5)))
    ]
    figure = study_figures(make_study(*variants))["maps/topic/cka_start"]
    assert [axes.images[0].get_array().shape for axes in figure.axes[:2]] == [(5, 5), (3, 5)]
    assert {(axes.get_xlim(), axes.get_ylim()) for axes in figure.axes[:2]} == {((-0.5, 4.5), (-0.5, 4.5))}
