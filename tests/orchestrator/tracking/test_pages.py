"""The pages of a study hold what is on disk, and are the same whenever they are made."""

import json
import math
import os
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import pytest

from layerscope.jobs.artifacts.parameter_groups import ParameterGroup, write_parameter_groups
from layerscope.jobs.report.study import Study, VariantResult
from layerscope.jobs.study_report import study_figures
from layerscope.orchestrator.tracking.memory import MemoryTracker
from layerscope.orchestrator.tracking.pages import study_pages
from tests.jobs.report.papers import claim, reference

LAYERS = range(7)
SCORES = {
    ("layer_decay=0.9", 0): 0.90,
    ("layer_decay=0.9", 1): 0.94,
    ("layer_decay=1.0", 0): 0.80,
    ("layer_decay=1.0", 1): 0.82,
}


def write_artifact(
    folder: Path, metrics, curves, *, parents=None, started="2026-01-01T00:00:00+00:00", seconds=60.0
):
    folder.mkdir(parents=True)
    lines = [json.dumps({"step": step, "time": time, "values": values}) for step, time, values in curves]
    (folder / "curves.jsonl").write_text("".join(f"{line}\n" for line in lines))
    if metrics is not None:
        provenance = {"started": started, "seconds": seconds} if started else {}
        record = {"metrics": metrics, "parents": parents or {}, "provenance": provenance}
        (folder / "record.json").write_text(json.dumps(record))
    return folder


def variant(
    root: Path, condition: str, seed: int, *, key: str, score: float, task: str = "trec"
) -> VariantResult:
    finetune = write_artifact(
        root / "finetune" / key,
        {"test/accuracy": score, "validation/accuracy": score + 0.01, "train/seconds": 60.0},
        [
            (10 * i, 1767225600.0 + 20 * (i - 1), {"train/loss": 1 / i, "validation/accuracy": score})
            for i in (1, 2)
        ],
        parents={"data": "feedfeedfeedfeed", "pretrain": "beefbeefbeefbeef"},
    )
    probe = write_artifact(
        root / "probe" / key,
        {"seconds": 2.0},
        [(layer, 1767225640.0, {"pos/accuracy": score * layer / 6}) for layer in LAYERS],
    )
    recipe = {"layer_decay": float(condition.split("=")[1]), "truncation": "head", "pretraining": None}
    return VariantResult(
        condition, task, seed, recipe, key, "done", folders={"finetune": finetune, "probe": probe}
    )


@pytest.fixture
def study(tmp_path):
    variants = [
        variant(tmp_path, condition, seed, key=f"{index:016x}", score=score)
        for index, ((condition, seed), score) in enumerate(SCORES.items())
    ]
    return Study(
        experiment="decay",
        description="Does a decay help?",
        encoder="minilm",
        yaml="name: decay\n",
        metric_by_task={"trec": "accuracy"},
        variants=tuple(variants),
        notes=("Six cells, four runs.",),
    )


def pages_by_name(study, **options):
    return {page.name: page for page in study_pages(study, study_key="study:1", **options)}


def values(page, metric):
    return {point.step: point.value for point in page.points if point.metric == metric}


def with_states(study, *states):
    return replace(
        study,
        variants=tuple(replace(v, state=state) for v, state in zip(study.variants, states, strict=True)),
    )


def test_a_study_has_conditions_that_have_variants(study):
    pages = pages_by_name(study)
    assert [(page.level, name) for name, page in pages.items()] == [
        ("study", "decay"),
        ("condition", "layer_decay=0.9"),
        ("condition", "layer_decay=1.0"),
        ("variant", "seed=0 layer_decay=0.9"),
        ("variant", "seed=1 layer_decay=0.9"),
        ("variant", "seed=0 layer_decay=1.0"),
        ("variant", "seed=1 layer_decay=1.0"),
    ]
    condition = pages["layer_decay=0.9"]
    assert condition.parent == "study:1"
    assert pages["seed=1 layer_decay=0.9"].parent == condition.key
    assert pages["seed=1 layer_decay=0.9"].key == study.variants[1].key
    assert {page.status for page in pages.values()} == {"finished"}


def test_a_variant_shows_its_recipe_curves_layers_and_record(study):
    page = pages_by_name(study)["seed=1 layer_decay=0.9"]
    assert page.params == {
        "task": "trec",
        "layer_decay": "0.9",
        "truncation": "head",
        "pretraining": "null",
        "seed": "1",
    }
    assert values(page, "train/loss") == {10: 1.0, 20: 0.5}
    assert values(page, "test/accuracy") == {0: 0.94}
    assert values(page, "probe/pos/accuracy") == {layer: 0.94 * layer / 6 for layer in LAYERS}
    assert (page.dataset.name, page.dataset.digest) == ("trec", "feedfeedfeedfeed")


def test_a_summary_never_stands_in_front_of_the_curve_of_its_name(study):
    page = pages_by_name(study)["seed=1 layer_decay=0.9"]
    assert values(page, "validation/accuracy") == {10: 0.94, 20: 0.94}
    assert values(page, "record/validation/accuracy") == {0: pytest.approx(0.95)}


def test_metrics_of_other_stages_begin_with_their_kind(study):
    page = pages_by_name(study)["seed=1 layer_decay=0.9"]
    assert values(page, "train/seconds") == {0: 60.0}
    assert values(page, "probe/seconds") == {0: 2.0}


def test_a_condition_shows_mean_deviation_and_interval_over_seeds(study):
    page = pages_by_name(study)["layer_decay=0.9"]
    scores = [0.90, 0.94]
    mean, low, high = (values(page, f"test/accuracy{of}")[0] for of in ("", "/low", "/high"))
    assert mean == pytest.approx(fmean(scores))
    assert values(page, "test/accuracy/deviation")[0] == pytest.approx(stdev(scores))
    # Student's t with one degree of freedom: 12.706 standard errors to each side of 0.92, on the logit scale.
    half = 12.706 * stdev(scores) / 2**0.5 / (0.92 * 0.08)
    assert [math.log(x / (1 - x)) for x in (low, high)] == pytest.approx(
        [math.log(0.92 / 0.08) + sign * half for sign in (-1, 1)], rel=1e-4
    )
    expected = {layer: pytest.approx(0.92 * layer / 6) for layer in LAYERS}
    assert values(page, "probe/pos/accuracy") == expected
    assert page.params == {"task": "trec", "layer_decay": "0.9", "truncation": "head", "pretraining": "null"}


def test_one_seed_has_a_mean_and_no_interval(study):
    page = pages_by_name(replace(study, variants=study.variants[:1]))["layer_decay=0.9"]
    assert values(page, "test/accuracy") == {0: 0.90}
    assert not {"test/accuracy/deviation", "test/accuracy/low"} & {point.metric for point in page.points}


def test_the_study_names_its_best_condition_and_counts(study):
    page = pages_by_name(study, report_html="<html>")["decay"]
    assert values(page, "test/accuracy") == {0: pytest.approx(0.92)}
    assert page.tags["layerscope.best.trec"] == "layer_decay=0.9"
    assert page.tags["layerscope.variants.done"] == "4"
    assert page.tags["layerscope.variants.failed"] == "0"
    assert page.tags["mlflow.note.content"] == "Does a decay help?\n\n- Six cells, four runs."
    assert page.texts["experiment.yaml"] == "name: decay\n"
    assert page.texts["report.html"] == "<html>"
    assert "mlflow==" in page.texts["environment.txt"]


def test_several_tasks_are_told_apart(study, tmp_path):
    other = variant(tmp_path, "layer_decay=0.9", 0, key="f" * 16, score=0.5, task="news")
    both = {"trec": "accuracy", "news": "accuracy"}
    pages = pages_by_name(replace(study, metric_by_task=both, variants=(*study.variants, other)))
    assert values(pages["decay"], "test/trec/accuracy") == {0: pytest.approx(0.92)}
    assert values(pages["decay"], "test/news/accuracy") == {0: 0.5}
    assert pages["news: layer_decay=0.9"].key != pages["trec: layer_decay=0.9"].key


def test_pages_made_twice_are_equal(study):
    first, second = (study_pages(study, study_key="study:1") for _ in range(2))
    assert first == second


def test_times_come_from_the_records(study):
    page = pages_by_name(study)["seed=0 layer_decay=0.9"]
    (time,) = {point.time for point in page.points if point.metric == "test/accuracy"}
    assert time == 1767225660.0  # 2026-01-01T00:01:00Z
    assert (page.began, page.ended) == (1767225600.0, time)
    assert (pages_by_name(study)["decay"].began, pages_by_name(study)["decay"].ended) == (page.began, time)


def test_without_a_start_the_time_is_that_of_the_record_file(study, tmp_path):
    folder = write_artifact(tmp_path / "old", {"test/accuracy": 0.5}, [], started=None)
    os.utime(folder / "record.json", (1234.0, 1234.0))
    old = replace(study.variants[0], folders={"finetune": folder})
    page = pages_by_name(replace(study, variants=(old,)))["seed=0 layer_decay=0.9"]
    assert {point.time for point in page.points} == {1234.0}


def test_only_what_has_started_has_a_page(study):
    pages = pages_by_name(with_states(study, "done", "running", "todo", "todo"))
    assert list(pages) == ["decay", "layer_decay=0.9", "seed=0 layer_decay=0.9", "seed=1 layer_decay=0.9"]
    assert pages["decay"].status == pages["layer_decay=0.9"].status == "running"


def test_a_mean_waits_for_every_seed_while_the_study_is_live(study):
    unfinished = with_states(study, "done", "running", "done", "done")
    assert pages_by_name(unfinished)["layer_decay=0.9"].points == ()
    assert pages_by_name(unfinished)["decay"].points == ()
    ended = pages_by_name(unfinished, live=False)
    assert values(ended["layer_decay=0.9"], "test/accuracy") == {0: 0.90}
    assert ended["decay"].status == ended["seed=1 layer_decay=0.9"].status == "killed"


def test_a_measure_that_one_seed_lacks_waits_while_the_study_is_live(study):
    first, second, *others = study.variants
    lacking = replace(second, folders={"finetune": second.folders["finetune"]})
    partial = replace(study, variants=(first, lacking, *others))
    assert values(pages_by_name(partial)["layer_decay=0.9"], "probe/pos/accuracy") == {}
    ended = pages_by_name(partial, live=False)["layer_decay=0.9"]
    assert values(ended, "probe/pos/accuracy")[6] == pytest.approx(0.90)


def test_failures_say_why(study):
    failed = with_states(study, "failed", "stopped", "blocked", "blocked")
    variants = tuple(replace(v, reason="out of memory") for v in failed.variants)
    pages = pages_by_name(replace(failed, variants=variants))
    assert pages["seed=0 layer_decay=0.9"].status == "failed"
    assert pages["seed=0 layer_decay=0.9"].tags["layerscope.reason"] == "out of memory"
    assert pages["seed=1 layer_decay=0.9"].status == "finished"
    assert pages["seed=1 layer_decay=0.9"].tags["layerscope.state"] == "stopped"
    assert pages["layer_decay=1.0"].status == "failed"
    assert pages["layer_decay=1.0"].tags["layerscope.reason"] == "out of memory"
    assert "seed=0 layer_decay=1.0" not in pages


def test_a_diverged_seed_leaves_no_number_that_looks_like_a_mean(study, tmp_path):
    diverged = variant(tmp_path, "layer_decay=0.9", 2, key="d" * 16, score=float("nan"))
    tracker = MemoryTracker()
    for page in study_pages(replace(study, variants=(*study.variants, diverged)), study_key="study:1"):
        tracker.publish("decay", page)
    shown = {page.name: page for page in tracker.pages("decay").values()}
    assert values(shown["layer_decay=0.9"], "test/accuracy") == {}
    assert "test/accuracy" in shown["layer_decay=0.9"].tags["layerscope.not_finite"]
    assert shown["decay"].tags["layerscope.best.trec"] == "layer_decay=1.0"


def test_where_nothing_varies_the_condition_still_has_a_name(study):
    only = replace(study.variants[0], condition="")
    pages = pages_by_name(replace(study, variants=(only,)))
    assert "single recipe" in pages
    assert "seed=0 single recipe" in pages


def test_figures_are_drawn_only_when_asked_for(study, tmp_path):
    last = study.variants[-1]
    np.save(tmp_path / "similarity.npy", np.eye(3))
    mapped = replace(last, folders={**last.folders, "cka/start": tmp_path})
    study = replace(study, variants=(*study.variants[:-1], mapped))
    pages = study_pages(study, study_key="study:1", figures=study_figures(study))
    assert all(content.startswith(b"\x89PNG") for page in pages for content in page.images.values())
    assert pages[0].images
    assert pages[-1].images
    assert not any(page.images for page in study_pages(study, study_key="study:1"))


def test_claims_are_tags_of_a_study_that_is_over(study):
    known = reference(
        claims=[claim("diverges", where={"layer_decay": {"at_least": 1}})], tasks={"trec": "trec"}
    )
    study = replace(study, reference=known)
    assert pages_by_name(study, live=False)["decay"].tags["layerscope.claim.a"] == (
        "not held: trec: 0 of 2 runs with layer_decay at least 1 diverged or did not learn"
    )
    assert "layerscope.claim.a" not in pages_by_name(study)["decay"].tags


def test_a_variant_shows_its_parameter_groups_as_a_table(study):
    group = ParameterGroup("head", 3, learning_rate=1e-3, weight_decay=0.0, parameters=("a", "b", "c"))
    write_parameter_groups(study.variants[1].folders["finetune"], [group])
    pages = pages_by_name(study)
    page = pages["seed=1 layer_decay=0.9"]
    assert json.loads(page.texts["parameter_groups.json"]) == {
        "columns": ["name", "num_parameters", "learning_rate", "weight_decay"],
        "data": [["head", 3, 1e-3, 0.0]],
    }
    assert json.loads(page.tags["mlflow.loggedArtifacts"]) == [
        {"path": "parameter_groups.json", "type": "table"}
    ]
    assert pages["seed=0 layer_decay=0.9"].texts == {}


def test_prepared_texts_do_not_move_the_beginning_of_a_variant(study, tmp_path):
    before = pages_by_name(study)["seed=1 layer_decay=0.9"]
    view = write_artifact(tmp_path / "view", {"train/num_cut": 3.0}, [], started="2025-01-01T00:00:00+00:00")
    shown = replace(study.variants[1], folders={**study.variants[1].folders, "view": view})
    study = replace(study, variants=(study.variants[0], shown, *study.variants[2:]))
    assert pages_by_name(study)["seed=1 layer_decay=0.9"] == before
