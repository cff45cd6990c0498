"""Tests of the tidy table and its formats."""

import io
import json
import math
from dataclasses import replace

import pytest
from pyarrow import parquet

from layerscope.jobs.report.tidy_table import Row, format_rows, tidy_rows
from layerscope.jobs.specs.targets import metric_named
from tests.jobs.report.studies import make_study, make_variant, write_curves, write_record


def test_scores_have_no_layer_and_measures_have_one(tmp_path):
    variant = write_record(make_variant(tmp_path, decay=0.9), test__accuracy=0.8, train__seconds=3.0)
    variant = write_curves(variant, "finetune", {"validation/accuracy": {10: 0.5}})
    variant = write_curves(variant, "probe", {"pos/accuracy": {0: 0.4, 1: 0.6}})
    variant = write_curves(variant, "cka/start", {"same_layer": {1: 0.7}})

    assert tidy_rows(make_study(variant)) == [
        Row("decay=0.9", 0, "topic", "test", None, "accuracy", 0.8),
        Row("decay=0.9", 0, "topic", "probe", 0, "pos/accuracy", 0.4),
        Row("decay=0.9", 0, "topic", "probe", 1, "pos/accuracy", 0.6),
        Row("decay=0.9", 0, "topic", "cka", 1, "start/same_layer", 0.7),
    ]


def test_only_done_variants_contribute(tmp_path):
    variant = write_record(make_variant(tmp_path), test__accuracy=0.8)
    assert tidy_rows(make_study(replace(variant, state="running"))) == []


def test_a_layer_logged_again_counts_once(tmp_path):
    variant = write_curves(make_variant(tmp_path), "depth", {"accuracy": {1: 0.1}})
    with (variant.folders["depth"] / "curves.jsonl").open("a") as file:
        file.write(json.dumps({"step": 1, "time": 1.0, "values": {"accuracy": 0.2}}) + "\n")
    assert [row.value for row in tidy_rows(make_study(variant))] == [0.2]


def test_json_has_null_for_what_is_not_finite():
    objects = json.loads(format_rows([Row("a", 0, "topic", "test", None, "accuracy", math.nan)], "json"))
    assert objects == [
        {
            "condition": "a",
            "seed": 0,
            "task": "topic",
            "measure": "test",
            "layer": None,
            "metric": "accuracy",
            "value": None,
        }
    ]


def test_parquet_keeps_the_rows():
    rows = [
        Row("a", 0, "topic", "test", None, "accuracy", 0.5),
        Row("a", 0, "topic", "depth", 3, "accuracy", 0.25),
    ]
    table = parquet.read_table(io.BytesIO(format_rows(rows, "parquet")))
    assert [Row(**row) for row in table.to_pylist()] == rows


def test_markdown_sums_up_seeds_by_mean_and_bounds():
    # Two seeds 0.8 and 0.9: t(0.975, 1) * s / sqrt(2) = 12.706 * 0.0707 / 1.414 = 0.6353, on the logit scale
    # 0.6353 / (0.85 * 0.15) = 4.983 to either side of 1.735: -3.248 and 6.718.
    rows = [
        Row("a|b", seed, "topic", "test", None, "accuracy", score) for seed, score in enumerate([0.8, 0.9])
    ]
    assert format_rows(rows, "md").splitlines() == [
        "| condition | task | seeds | accuracy |",
        "| --- | --- | ---: | ---: |",
        "| a\\|b | topic | 2 | 0.8500 [0.0374, 0.9988] |",
    ]


@pytest.mark.parametrize("metric", ["accuracy", "matthews", "loss"])
def test_no_bounds_leave_the_scale_of_their_metric(metric):
    rows = [Row("", seed, "topic", "test", None, metric, score) for seed, score in enumerate([0.42, 0.68])]
    low, high = json.loads(format_rows(rows, "md").splitlines()[2].split("0.5500 ")[1].removesuffix(" |"))
    least, largest = metric_named(metric).scale
    assert least <= low < 0.42 and 0.68 < high <= largest


def test_equal_seeds_have_no_bounds():
    rows = [Row("", seed, "topic", "test", None, "accuracy", 1.0) for seed in range(3)]
    assert format_rows(rows, "md").splitlines()[2] == "| single recipe | topic | 3 | 1.0000 |"


def test_one_seed_has_no_bounds_and_a_diverged_one_says_so():
    rows = [
        Row("", 0, "topic", "test", None, "accuracy", 0.5),
        Row("", 0, "topic", "test", None, "f1", math.nan),
    ]
    assert format_rows(rows, "md").splitlines()[2] == "| single recipe | topic | 1 | 0.5000 | diverged |"


def test_latex_escapes_what_latex_would_read():
    row = Row("pre_training=50%", 0, "a&b", "test", None, "accuracy", 0.5)
    assert r"pre\_training=50\% & a\&b & 1 & 0.5000 \\" in format_rows([row], "latex")


def test_an_unknown_format_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'csv': use json, md, latex or parquet"):
        format_rows([], "csv")
