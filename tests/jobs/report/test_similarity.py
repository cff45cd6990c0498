"""Further measures in the report: maps on shared scales, intervals, floors, reasons, pairs of models."""

import json

import numpy as np

from layerscope.jobs.measures.similarity.table import similarity_tables
from layerscope.jobs.study_report import render_report, study_figures, variant_figures
from tests.jobs.report.studies import make_study, make_variant, write_curves, write_map, write_record
from tests.jobs.report.test_document import words


def measured(root, role, curves, *, seed=0, task="topic", values=None, **recipe):
    variant = write_record(make_variant(root, seed=seed, task=task, **recipe), test__accuracy=0.5)
    variant = write_map(variant, role, np.full((3, 3), 0.5) if values is None else values)
    return write_curves(variant, role, curves)


def with_interval(root, *, seed=0, middle=0.5):
    steps = range(3)
    curves = {
        "same_layer": dict.fromkeys(steps, middle),
        "same_layer/low": dict.fromkeys(steps, middle - 0.1),
        "same_layer/high": dict.fromkeys(steps, middle + 0.1),
    }
    return measured(root, "similarity/cka/start", curves, seed=seed)


def test_each_measure_has_its_maps_with_its_name_on_the_scale(tmp_path):
    variant = measured(tmp_path, "similarity/rbf/start", {})
    figure = study_figures(make_study(variant))["maps/topic/similarity_rbf_start"]
    assert "CKA with a Gaussian kernel of layers, fine-tuned against base model" in " ".join(
        figure.get_suptitle().split()
    )
    assert figure.axes[-1].get_xlabel() == "CKA with a Gaussian kernel"
    assert figure.axes[0].images[0].get_clim() == (0, 1)
    assert list(variant_figures(variant)) == ["similarity/rbf/start"]


def test_an_interval_is_a_band_and_no_curve_of_its_own(tmp_path):
    variants = [with_interval(tmp_path, seed=seed, middle=middle) for seed, middle in enumerate((0.4, 0.6))]
    figures = study_figures(make_study(*variants))
    assert [name for name in figures if name.startswith("similarity/")] == [
        "similarity/topic/cka_start_same_layer",
    ]
    axes = figures["similarity/topic/cka_start_same_layer"].axes[0]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), 0.5)
    box = axes.collections[0].get_datalim(axes.transData)
    np.testing.assert_allclose([box.y0, box.y1], [0.4, 0.6])


def test_the_table_has_intervals_floors_and_reasons(tmp_path):
    variant = with_interval(tmp_path)
    floored = {"same_layer": {1: 0.9, 2: 0.8}, "floor": {1: 0.2, 2: 0.1}}
    variant = write_curves(variant, "similarity/biased_cka/start", floored)
    reason = {"layer 0": "layer 0 is the same for all 40 examples"}
    folder = variant.folders["similarity/biased_cka/start"]
    (folder / "undefined.json").write_text(json.dumps(reason))
    shares = {"next_layer": {0: 0.7, 1: 0.6}, "largest_row": {0: 0.3, 1: 0.2, 2: 0.1}}
    variant = write_curves(variant, "similarity/leverage/within", shares)
    against, within = similarity_tables(make_study(variant))
    assert [(row.measure, row.cells) for row in against.rows] == [
        ("CKA", ("0.500 (0.400 to 0.600)",) * 3),
        ("biased CKA", ("undefined", "0.900 (chance 0.200)", "0.800 (chance 0.100)")),
    ]
    assert against.reasons == ("layer 0 is the same for all 40 examples (biased CKA)",)
    assert [(row.measure, row.cells) for row in within.rows] == [
        ("CKA without the 1 % highest-leverage examples", ("0.700", "0.600")),
        (
            "CKA without the 1 % highest-leverage examples: variance share, top example",
            ("0.300", "0.200", "0.100"),
        ),
    ]
    figures = study_figures(make_study(variant))
    assert "similarity/topic/biased_cka_start_same_layer" in figures
    shares = figures["similarity/topic/leverage_within_largest_row"].axes[0]
    assert shares.get_ylabel() == "variance share, top example"
    assert "intervals" not in shares.get_title()
    page = words(render_report(make_study(variant)))
    assert "biased CKA undefined 0.900 (chance 0.200) 0.800 (chance 0.100)" in page
    assert "Undefined: layer 0 is the same for all 40 examples (biased CKA)." in page
    assert "each layer with the next one" in page


def test_a_study_without_further_measures_has_no_table(tmp_path):
    study = make_study(write_record(make_variant(tmp_path), test__accuracy=0.5))
    assert similarity_tables(study) == []
    assert "Similarity by measure" not in words(render_report(study))


def test_pairs_of_seeds_are_one_map_and_one_curve_a_condition(tmp_path):
    variants = [
        measured(
            tmp_path,
            "between/seeds/2",
            {"same_layer": {0: value, 1: value, 2: value}},
            seed=seed,
            values=np.full((3, 3), value),
        )
        for seed, value in enumerate((0.2, 0.6))
    ]
    figures = study_figures(make_study(*variants))
    names = [name for name in figures if "between" in name]
    assert names == ["maps/topic/between_seeds", "between/topic/seeds"]
    np.testing.assert_allclose(figures[names[0]].axes[0].images[0].get_array(), 0.4)
    np.testing.assert_allclose(figures[names[1]].axes[0].lines[0].get_ydata(), 0.4)


def test_pairs_of_conditions_and_of_tasks_are_named(tmp_path):
    curves = {"same_layer": {0: 0.5, 1: 0.5}}
    first = measured(tmp_path, "between/conditions/decay=1.0", curves, decay=0.9)
    figures = study_figures(make_study(first, make_variant(tmp_path, decay=1.0)))
    assert figures["maps/topic/between_conditions"].axes[0].get_title() == "decay=0.9 / decay=1.0"
    mood = measured(tmp_path, "between/tasks/snli/topic", curves, task="mood")
    figures = study_figures(make_study(mood))
    assert figures["maps/mood/between_tasks_snli"].axes[0].get_title() == "mood / topic"
    title = " ".join(figures["between/mood/tasks_snli"].get_suptitle().split())
    assert title == "mood: CKA of layers between tasks, on snli, same layer"
