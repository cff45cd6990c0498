"""Tests of the report: self-contained, honest, and whole whatever became of the study."""

import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from layerscope.jobs import study_report as report
from layerscope.jobs.artifacts.parameter_groups import ParameterGroup, write_parameter_groups
from layerscope.jobs.artifacts.record import write_record as write_record_file
from layerscope.jobs.report.ranking import rank_conditions
from layerscope.jobs.study_report import render_report, write_report
from tests.jobs.report.papers import claim, reference, variants
from tests.jobs.report.studies import (
    make_study,
    make_variant,
    realistic_study,
    write_curves,
    write_map,
    write_predictions,
    write_record,
)


class Page(HTMLParser):
    """Tags, ids, attributes that load something, and text of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.ids, self.loads, self.text = [], [], [], ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.text += " " if tag in ("td", "th", "br") else ""
        self.ids += [value for name, value in attributes if name == "id"]
        self.loads += [
            value for name, value in attributes if name in ("src", "href", "xlink:href", "data", "srcset")
        ]

    def handle_data(self, data):
        self.text += data


def words(html):
    return " ".join(Page(html).text.split())


@pytest.fixture(scope="module")
def realistic(tmp_path_factory):
    return render_report(realistic_study(tmp_path_factory.mktemp("store")))


def test_the_page_loads_nothing_from_outside(realistic):
    assert all(load.startswith(("#", "data:")) for load in Page(realistic).loads)
    assert not re.search(r"https?://|@import|url\((?!#)", realistic)
    assert "link" not in Page(realistic).tags


def test_no_figure_borrows_the_clips_of_another(realistic):
    figures = re.findall(r"<figure .*?</figure>", realistic, flags=re.DOTALL)
    owned = [set(re.findall(r'\bid="(figure-[^"]+)"', figure)) for figure in figures]
    used = [set(re.findall(r'#(figure-[^")]+)', figure)) for figure in figures]
    assert all(uses and uses <= owns for uses, owns in zip(used, owned, strict=True))
    assert sum(map(len, owned)) == len(set.union(*owned))


def test_every_figure_has_words_and_every_table_a_caption(realistic):
    assert len(re.findall(r'<figure id="[^"]+"><svg [^>]*role="img" aria-label="[^"]+"', realistic)) == (
        Page(realistic).tags.count("figure")
    )
    assert Page(realistic).tags.count("table") == Page(realistic).tags.count("caption")


def test_the_page_is_the_same_for_the_same_study(tmp_path):
    variant = write_curves(make_variant(tmp_path), "finetune", {"train/loss": {1: 1.0, 2: 0.5}})
    study = make_study(write_record(variant, test__accuracy=0.5))
    assert render_report(study) == render_report(study)


def test_conditions_are_ranked_once_for_page_and_figures(tmp_path, monkeypatch):
    times = []
    monkeypatch.setattr(
        report, "rank_conditions", lambda study: times.append(study) or rank_conditions(study)
    )
    study = make_study(write_record(make_variant(tmp_path), test__accuracy=0.5))
    page = render_report(study)
    assert len(times) == 1
    ranking = rank_conditions(study)
    drawn = report.study_figures(study, ranking=ranking)
    assert render_report(study, figures=drawn, ranking=ranking) == page
    assert len(times) == 1


def test_no_condition_is_called_best_among_indistinguishable_ones(tmp_path):
    variants = [
        write_predictions(
            write_record(make_variant(tmp_path, decay=decay), test__accuracy=correct / 50),
            [1] * correct + [0] * 10,
        )
        for decay, correct in [(0.9, 40), (1.0, 40)]
    ]
    page = words(render_report(make_study(*variants)))
    assert (
        "topic: no single best. decay=0.9 scored highest, mean test accuracy 0.800 (one seed: no interval)"
        in page
    )
    assert "; the other is not significantly different" in page
    assert "not significant" in page
    assert "is best" not in page


def test_a_separated_condition_is_called_best(tmp_path):
    variants = [
        write_predictions(
            write_record(make_variant(tmp_path, decay=decay), test__accuracy=correct / 100),
            [1] * correct + [0] * (100 - correct),
        )
        for decay, correct in [(0.9, 90), (1.0, 40)]
    ]
    page = words(render_report(make_study(*variants)))
    assert "topic: decay=0.9 is best on the test examples" in page
    assert "the other is significantly worse" in page
    assert "worse +0.500 [+0.4" in page


def test_hostile_names_and_reasons_are_shown_and_not_run(tmp_path):
    hostile = '<script>alert("x")</script> $\\frac{ --> </svg> &amp; ä'
    variant = write_record(make_variant(tmp_path, decay=hostile), test__accuracy=0.5)
    variant = write_curves(variant, "finetune", {"validation/accuracy": {1: 0.1, 2: 0.2}})
    other = write_curves(
        write_record(make_variant(tmp_path, decay="b"), test__accuracy=0.4),
        "finetune",
        {"validation/accuracy": {1: 0.1}},
    )
    failed = replace(make_variant(tmp_path, decay="c"), state="failed", reason=hostile, folders={})
    page = render_report(
        make_study(variant, other, failed, notes=(hostile,), experiment=hostile, yaml=hostile)
    )
    assert Page(page).tags.count("script") == 1
    assert Page(page).text.count(hostile) >= 4
    assert "alert" not in "".join(Page(page).ids)


def test_an_empty_study_says_so():
    page = words(render_report(make_study()))
    assert "The experiment has no variants." in page
    assert "0 of 0 variants done" in page


def test_a_study_where_all_failed_gives_each_reason_once(tmp_path):
    failed = [
        replace(
            make_variant(tmp_path, seed=seed, decay=0.9), state="failed", reason="out of memory", folders={}
        )
        for seed in range(5)
    ]
    html = render_report(make_study(*failed))
    assert "topic: no condition has a test score." in words(html)
    assert html.count("out of memory") == 1
    assert "5 variants" in words(html)
    assert "figure" not in Page(html).tags


def test_a_diverged_run_is_shown_as_such(tmp_path):
    variant = write_record(make_variant(tmp_path, decay=0.9), test__accuracy=math.nan, diverged=1.0)
    variant = write_curves(variant, "finetune", {"train/loss": {1: math.nan, 2: math.nan}})
    variant = write_map(variant, "cka/start", np.full((3, 3), np.nan))
    page = words(render_report(make_study(variant)))
    assert "topic: no condition has a test score." in page
    assert "1 diverged" in page


def test_missing_measures_have_no_section(tmp_path):
    page = words(render_report(make_study(write_record(make_variant(tmp_path), test__accuracy=0.5))))
    assert "topic: one condition (single recipe), mean test accuracy 0.500" in page
    assert "Linear probes by layer" not in page
    assert "layerscope run fake.yaml" in page


def test_forty_conditions_keep_a_row_each_and_few_figures(tmp_path):
    variants = [
        write_curves(
            write_record(
                make_variant(tmp_path, decay=decay / 20, truncation=truncation), test__accuracy=decay / 30
            ),
            "probe/pos",
            {"accuracy": {layer: 0.5 + layer / 20 for layer in range(7)}},
        )
        for decay in range(1, 21)
        for truncation in ("head", "tail")
    ]
    page = Page(render_report(make_study(*variants)))
    assert page.text.count("not compared") == 39
    assert page.tags.count("figure") == 4


def test_the_report_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = write_report(make_study(), tmp_path / "deep" / "report.html")
    before = path.read_text(encoding="utf-8")
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_report(make_study(experiment="another"), path)
    assert path.read_text(encoding="utf-8") == before
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]


def test_a_study_stands_beside_its_paper(tmp_path):
    rows = [
        {"row": "first", "where": {"truncation": "head"}, "values": {"topic": 5.63, "mood": 1.0}},
        {"row": "second", "where": {"truncation": "tail"}, "values": {"topic": 5.44}},
        {"row": "CNN", "values": {"topic": 9.1}},
    ]
    known = reference(
        tables=[{"table": "T2", "title": "Long texts", "rows": rows}],
        claims=[
            claim("better", where={"truncation": "head"}, than=[{"truncation": "both"}]),
            claim("diverges", where={"truncation": "none"}) | {"claim": "b"},
        ],
        setting={"encoder": "bert-base-uncased", "num_layers": 12, "max_length": 512},
    )
    runs = [
        variant
        for name, num in [("head", 90), ("both", 60)]
        for seed in (0, 1)
        for variant in variants(tmp_path, num + seed, seeds=[seed], truncation=name)
    ]
    html = render_report(make_study(*runs, reference=known))
    page = words(html)
    assert "Comparison with the paper" in page
    assert "What is known (nowhere)" in page
    assert "encoder tiny of 4 layers instead of bert-base-uncased of 12" in page
    assert "first truncation=head 5.63 9.50 4.77 to 18.02, 2 seeds +3.87 yes" in page
    assert "Not run on topic (the paper's value): second 5.44." in page
    assert "Other models in the paper, topic: CNN 9.10." in page
    assert "Not run, because the experiment has no task mood." in page
    assert "a It is so. (table 1) held topic: truncation=head against truncation=both: −30.00 points" in page
    assert "b It is so. (table 1) not run topic: no finished run with truncation=none" in page
    assert Page(html).tags.count("table") == Page(html).tags.count("caption")
    assert "Comparison with the paper" not in words(render_report(make_study(*runs)))


def test_a_measure_that_is_no_test_error_is_only_quoted(tmp_path):
    rows = [{"row": "small", "values": {"topic": 0.44}}]
    known = reference(tables=[{"table": "F2", "title": "Drift", "measure": "correlation", "rows": rows}])
    page = words(render_report(make_study(*variants(tmp_path, 50, decay=1.0), reference=known)))
    assert "The paper reports another measure here (correlation), so there is no comparison." in page
    assert "small: topic 0.44" in page


def test_texts_cut_and_learning_rates_are_shown(tmp_path):
    (variant,) = variants(tmp_path, 50, seeds=[0], truncation="head", max_length=32)
    (tmp_path / "view").mkdir()
    metrics = {
        "test/num_texts": 100.0,
        "test/num_cut": 25.0,
        "test/tokens": 9000.0,
        "test/tokens_lost": 1000.0,
    }
    write_record_file(tmp_path / "view", {"metrics": metrics})
    group = ParameterGroup("layer 3", num_parameters=1234, learning_rate=1.9e-5, weight_decay=0.01)
    write_parameter_groups(variant.folders["finetune"], [group])
    variant = replace(variant, folders={**variant.folders, "view": tmp_path / "view"})
    page = words(render_report(make_study(variant)))
    assert "topic head to 32 tokens test 100 25 (25.0 %) 9,000 1,000 (10.0 %)" in page
    assert "1 groups: truncation=head max_length=32" in page
    assert "layer 3 1,234 1.9e-05 0.01" in page


def test_runs_that_did_not_learn_are_shown_as_such(tmp_path):
    dull = variants(tmp_path, 20, learning_rate=1.0, metrics={"learned": 0.0, "diverged": 0.0})
    wild = variants(tmp_path, 20, learning_rate=9.0, metrics={"learned": 0.0, "diverged": 1.0})
    curves = {"train/loss": {1: 2.0, 2: 2.5, 3: 3.0}}
    runs = [write_curves(variant, "finetune", curves) for variant in dull + wild]
    page = words(render_report(make_study(*runs)))
    assert "topic: no condition learned with every seed. learning_rate=1.0 did not learn, with mean" in page
    assert "2 did not learn" in page
    assert "2 diverged" in page
    assert "learning_rate=1.0 (did not learn)" in page
    assert "learning_rate=9.0 (diverged)" in page
