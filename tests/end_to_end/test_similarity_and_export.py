"""Every measure of similarity and both heads in one experiment, and its models exported by the command."""

import json

import pytest
from typer.testing import CliRunner

from layerscope.jobs.artifacts.record import read_metrics
from layerscope.jobs.measures import MEASURES
from layerscope.jobs.study_report import render_report, study_figures
from layerscope.orchestrator.cli import app
from layerscope.orchestrator.execution.serial import run_serially
from layerscope.orchestrator.tracking.pages import study_pages
from layerscope.orchestrator.workspace import open_workspace
from tests.jobs.report.studies import logged_curves
from tests.tiny import make_encoder, write_experiment

pytestmark = pytest.mark.slow


def task(name: str, target: str, seed: int) -> dict:
    data = {"source": "sample", "target": target, "num_train": 60, "num_test": 40, "seed": seed}
    return {"task": name, "data": data, "validation": {"fraction": 0.4, "seed": 0}}


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder = tmp_path_factory.mktemp("similarity")
    path = write_experiment(
        folder / "tiny.yaml",
        make_encoder(folder / "encoder"),
        tasks=[task("topic", "topic", 1), task("mood", "sentiment", 2)],
        probing=[task("texts", "topic", 3)],
        seeds=[0, 1],
        measures={
            "num_train": 40,
            "num_test": 40,
            "probe": False,
            "refit": True,
            "similarity": ["cka", "biased_cka", "rbf", "leverage", "partial_cka"],
            "cka_between": ["seeds", "tasks"],
        },
    )
    workspace = open_workspace(path, store=folder / "runs")
    workspace.store.create()
    schedule = workspace.schedule()
    run_serially(schedule)
    return workspace, schedule


def test_every_stage_is_computed(opened):
    _, schedule = opened
    assert set(schedule.counts()) == {"computed"}


def test_measures_reach_the_tracker_with_their_layers_and_figures(opened):
    workspace, schedule = opened
    study = workspace.study(schedule)
    pages = study_pages(study, study_key="study", figures=study_figures(study), live=False)
    first = next(page for page in pages if page.level == "variant")
    points = {(point.metric, point.step) for point in first.points}
    assert {
        ("depth/refit/accuracy", 2),
        ("similarity/cka/start/same_layer/low", 1),
        ("similarity/biased_cka/within/floor", 1),
        ("similarity/leverage/start/largest_row", 2),
        ("between/seeds/1/same_layer", 2),
        ("between/tasks/texts/mood/same_layer", 2),
        ("blocks/num_layers", 0),
    } <= points
    assert "figures/similarity/rbf/start.png" in first.images
    images = set(pages[0].images)
    assert {
        "figures/maps/topic/between_seeds.png",
        "figures/maps/topic/between_tasks_texts.png",
        "figures/depth/topic/both_heads.png",
    } <= images


def test_what_is_logged_is_what_reports_may_name(opened):
    workspace, schedule = opened
    logged = logged_curves(workspace.study(schedule))
    unknown = {measure: names - set(MEASURES[measure].curves) for measure, names in logged.items()}
    assert unknown == {measure: set() for measure in logged}
    assert set(logged) == {"depth", "cka", "similarity", "between"}
    assert logged["similarity"] == set(MEASURES["similarity"].curves)


def test_the_report_tells_them(opened):
    workspace, schedule = opened
    page = render_report(workspace.study(schedule))
    for title in ("Removable layers", "Similarity by measure", "CKA between fine-tuned models"):
        assert title in page


def say(*command: str):
    return CliRunner().invoke(app, command)


@pytest.fixture
def store(opened) -> str:
    return str(opened[0].store.root)


@pytest.fixture
def key(opened) -> str:
    return opened[1].plan.variants[0].key


def test_a_variant_is_exported_by_the_beginning_of_its_key(opened, store, key, tmp_path):
    _, schedule = opened
    result = say(
        "export", key[:9], "--store", store, "--out", str(tmp_path / "model"), "--layers", "1", "--json"
    )
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["variant"], told["layers"], told["of_layers"]) == (key, 1, 2)
    variant = schedule.plan.variants[0]
    full = read_metrics(schedule.store.folder(variant.stages["finetune"]))["test/accuracy"]
    assert told["score_before"] == full
    curves = (schedule.store.folder(variant.stages["depth"]) / "curves.jsonl").read_text().splitlines()
    assert told["score"] == json.loads(curves[1])["values"]["accuracy"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_refitted_head_is_that_of_the_store(opened, store, key, tmp_path):
    _, schedule = opened
    options = ["--layers", "1", "--head", "refitted", "--json"]
    result = say("export", key, "--store", store, "--out", str(tmp_path / "model"), *options)
    assert result.exit_code == 0, result.output
    folder = schedule.store.folder(schedule.plan.variants[0].stages["depth/refit"])
    curves = (folder / "curves.jsonl").read_text().splitlines()
    assert json.loads(result.stdout)["score"] == json.loads(curves[1])["values"]["accuracy"]


def test_people_are_told_what_was_saved(store, key, tmp_path):
    result = say("export", key, "--store", store, "--out", str(tmp_path / "model"), "--tolerance", "99%")
    assert result.exit_code == 0, result.output
    assert "1 of 2 layers, tuned head, BertForTokenClassification" in result.stdout
    assert "% saved" in result.stdout and "milliseconds per text:" in result.stdout


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--layers", "3"], "3 layers cannot be kept: the model has 1 to 2"),
        (["--layers", "few"], "--layers: must be auto or a whole number of at least 1, not 'few'"),
        (["--tolerance", "0.005"], "--tolerance: must be a percentage below 100 %, as 0.5%, not '0.005'"),
        (["--tolerance", "100%"], "--tolerance: must be a percentage"),
    ],
)
def test_wrong_options_are_told_and_leave_nothing(store, key, tmp_path, options, told):
    result = say("export", key, "--store", store, "--out", str(tmp_path / "model"), *options)
    assert result.exit_code == 2, result.output
    assert told in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_is_none_or_several_is_told_with_those_there_are(store, key, tmp_path):
    out = ["--store", store, "--out", str(tmp_path / "model")]
    none = say("export", "zz", *out)
    assert none.exit_code == 2 and "has a key that begins with 'zz'" in none.stderr
    assert f"{key} (topic, seed 0)" in none.stderr
    several = say("export", "", *out)
    assert several.exit_code == 2


def test_a_folder_that_is_not_empty_is_refused(store, key, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    result = say("export", key, "--store", store, "--out", str(tmp_path))
    assert result.exit_code == 2 and "is there already" in result.stderr


def test_what_is_missing_from_the_store_is_a_missing_prerequisite(tmp_path):
    result = say("export", "abc", "--store", str(tmp_path / "none"), "--out", str(tmp_path / "model"))
    assert result.exit_code == 4 and "there is no store" in result.stderr
